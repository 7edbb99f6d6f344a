"""The route table: every route of the API reference, each with the GraphQL document that it stands for."""

from typing import NamedTuple


class Route(NamedTuple):
    """A route below /api/v1, the name of its document, its status when it succeeds, and its words in the reference."""

    method: str
    path: str
    document: str
    title: str
    status: int = 200
    documented: bool = True
    """Whether the API reference lists it; the others are additions."""

    @property
    def noun(self) -> str:
        return self.path.split("/")[1]

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.path.endswith("{id}")


ROUTES = (
    Route("GET", "/clients", "ListClients", "List Clients"),
    Route("GET", "/clients/{id}", "GetClient", "Get Client"),
    Route("POST", "/clients", "CreateClient", "Create Client", 201),
    Route("PUT", "/clients/{id}", "UpdateClient", "Update Client"),
    Route("DELETE", "/clients/{id}", "DeleteClient", "Delete Client"),
    Route("GET", "/services", "ListServices", "List Services"),
    Route("GET", "/services/{id}", "GetService", "Get Service"),
    Route("POST", "/services", "CreateService", "Create Service", 201),
    Route("POST", "/services/{id}/suspend", "SuspendService", "Suspend Service"),
    Route("POST", "/services/{id}/unsuspend", "UnsuspendService", "Unsuspend Service"),
    Route("POST", "/services/{id}/terminate", "TerminateService", "Terminate Service"),
    Route("GET", "/invoices", "ListInvoices", "List Invoices"),
    Route("GET", "/invoices/{id}", "GetInvoice", "Get Invoice"),
    Route("POST", "/invoices", "CreateInvoice", "Create Invoice", 201),
    Route("POST", "/invoices/{id}/pay", "PayInvoice", "Mark Invoice Paid"),
    Route("GET", "/tickets", "ListTickets", "List Tickets"),
    Route("GET", "/tickets/{id}", "GetTicket", "Get Ticket"),
    Route("POST", "/tickets", "CreateTicket", "Create Ticket", 201),
    Route("POST", "/tickets/{id}/reply", "ReplyToTicket", "Reply to Ticket"),
    Route("POST", "/tickets/{id}/close", "CloseTicket", "Close Ticket"),
    Route("GET", "/products", "ListProducts", "List Products"),
    Route("GET", "/products/{id}", "GetProduct", "Get Product"),
    Route("GET", "/servers", "ListServers", "List Servers"),
    Route("GET", "/servers/{id}", "GetServer", "Get Server"),
    Route("GET", "/departments", "ListDepartments", "List Departments", documented=False),
    Route("GET", "/departments/{id}", "GetDepartment", "Get Department", documented=False),
)
