"""What the pages of sharing read; foreign things are NotFound."""

from gateway.sharing.queries.partner import bundle_page, my_record, my_share, my_shares, ticket_file
from gateway.sharing.queries.results import (
    BundlePage,
    BundleRow,
    MyHome,
    MyRecord,
    MyShare,
    ShareFilter,
    ShareList,
    SharePage,
    TicketFile,
)
from gateway.sharing.queries.staff import share_list, share_page, waiting, waiting_count
from gateway.sharing.queries.wizard import WizardChoices, case_choices, draft_values, wizard_choices

__all__ = [
    "BundlePage",
    "BundleRow",
    "MyHome",
    "MyRecord",
    "MyShare",
    "ShareFilter",
    "ShareList",
    "SharePage",
    "TicketFile",
    "WizardChoices",
    "bundle_page",
    "case_choices",
    "draft_values",
    "my_record",
    "my_share",
    "my_shares",
    "share_list",
    "share_page",
    "ticket_file",
    "waiting",
    "waiting_count",
    "wizard_choices",
]
