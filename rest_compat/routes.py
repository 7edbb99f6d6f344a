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
        """What it is about: the objects that it lists, else those that its path begins with."""
        return self.path.split("/")[-1 if self.is_list else 1]

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and not self.path.endswith("{id}") and not self.is_stream

    @property
    def is_log(self) -> bool:
        """Whether it tells of events, which are gone through by their ids rather than by cursors."""
        return self.noun == "events"

    @property
    def is_stream(self) -> bool:
        """Whether its answer goes on: its document is a subscription."""
        return self.path.endswith("/stream")

    @property
    def below(self) -> str | None:
        """Of a list below the object of its path, the filter that stands for that object: `webhook_id`."""
        segments = self.path.split("/")
        return f"{segments[1].removesuffix('s')}_id" if self.is_list and "{id}" in segments else None


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
    Route("GET", "/webhooks", "ListWebhooks", "List Webhooks", documented=False),
    Route("GET", "/webhooks/{id}", "GetWebhook", "Get Webhook", documented=False),
    Route("POST", "/webhooks", "CreateWebhook", "Create Webhook", 201, documented=False),
    Route("PUT", "/webhooks/{id}", "UpdateWebhook", "Update Webhook", documented=False),
    Route("DELETE", "/webhooks/{id}", "DeleteWebhook", "Delete Webhook", documented=False),
    Route("POST", "/webhooks/{id}/test", "TestWebhook", "Test Webhook", documented=False),
    Route("POST", "/webhooks/{id}/rotate", "RotateWebhook", "Rotate Webhook Secret", documented=False),
    Route("POST", "/webhooks/{id}/recover", "RecoverWebhook", "Recover Webhook", documented=False),
    Route("GET", "/webhooks/{id}/deliveries", "ListDeliveries", "List Webhook Deliveries", documented=False),
    Route("GET", "/deliveries/{id}", "GetDelivery", "Get Delivery", documented=False),
    Route("POST", "/deliveries/{id}/redeliver", "RedeliverDelivery", "Redeliver Delivery", documented=False),
    Route("GET", "/events", "ListEvents", "List Events", documented=False),
    Route("GET", "/events/stream", "StreamEvents", "Stream Events", documented=False),
)
