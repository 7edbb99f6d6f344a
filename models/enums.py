"""The closed sets that columns hold. A set may grow; a value is never renamed, since rows and events carry it."""

from enum import StrEnum


class ClientStatus(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"


class ProductType(StrEnum):
    HOSTING = "hosting"
    RESELLER = "reseller"
    VPS = "vps"
    SERVER = "server"
    DOMAIN = "domain"
    LICENCE = "licence"
    OTHER = "other"


class ProductStatus(StrEnum):
    ACTIVE = "active"
    HIDDEN = "hidden"
    RETIRED = "retired"


class AutoSetup(StrEnum):
    ON_ORDER = "on_order"
    ON_PAYMENT = "on_payment"
    MANUAL = "manual"


class BillingCycle(StrEnum):
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMIANNUALLY = "semiannually"
    ANNUALLY = "annually"
    BIENNIALLY = "biennially"
    TRIENNIALLY = "triennially"
    ONE_TIME = "one_time"
    FREE = "free"


class ServiceStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"
    CANCELLED = "cancelled"


class ProvisionState(StrEnum):
    NONE = "none"
    QUEUED = "queued"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"


class SuspensionReason(StrEnum):
    OVERDUE = "overdue"
    ABUSE = "abuse"
    MANUAL = "manual"


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    UNPAID = "unpaid"
    PAID = "paid"
    CANCELLED = "cancelled"


class ItemKind(StrEnum):
    RECURRING = "recurring"
    SETUP = "setup"
    MANUAL = "manual"


class TicketStatus(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"
    CUSTOMER_REPLY = "customer_reply"
    ON_HOLD = "on_hold"
    CLOSED = "closed"


class TicketPriority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Author(StrEnum):
    CLIENT = "client"
    STAFF = "staff"
    SYSTEM = "system"


class ServerStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class ServerFill(StrEnum):
    LEAST_FULL = "least_full"
    IN_ORDER = "in_order"


class ModuleAction(StrEnum):
    CREATE = "create"
    SUSPEND = "suspend"
    UNSUSPEND = "unsuspend"
    TERMINATE = "terminate"


class ModuleCallStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WebhookStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class DisabledReason(StrEnum):
    """Why an endpoint is disabled: by staff, by its own answer 410, or because nothing succeeded for five days."""

    MANUAL = "manual"
    GONE = "gone"
    FAILING = "failing"


class Circuit(StrEnum):
    """Closed: everything is sent. Open: it fails, and one delivery at a time is tried. Draining: it is back."""

    CLOSED = "closed"
    OPEN = "open"
    DRAINING = "draining"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"


class AttemptTrigger(StrEnum):
    """Auto: its time had come. Probe: whether the endpoint is back. Manual: staff asked for it."""

    AUTO = "auto"
    PROBE = "probe"
    MANUAL = "manual"
