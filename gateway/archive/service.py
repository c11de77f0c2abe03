"""The archive's jobs: one verb, one write transaction, one entry each. Kept by noun in the modules named here."""

from collections.abc import Mapping

from gateway.archive.cases import (
    CaseEntry,
    amend_case,
    claim_case,
    create_case,
    edit_case,
    file_case,
    gaps,
    return_case,
    submit_case,
    void_case,
)
from gateway.archive.clients import (
    ANY_PURPOSE,
    ClientEntry,
    Saved,
    add_basis,
    create_client,
    edit_client,
    end_basis,
    reveal_field,
)
from gateway.archive.facts import FACTS, ShareableItem, has_basis, items_for_share, shareable_item
from gateway.archive.grants import confirm_grant, end_grant, give_grant
from gateway.archive.inspection import check_again, inspect_version, inspection_failed
from gateway.archive.items import ItemEntry, add_item, edit_item
from gateway.archive.numbering import next_copy_number, next_in
from gateway.archive.uploads import (
    INSPECT,
    UploadView,
    abort_upload,
    complete_upload,
    object_id,
    put_part,
    start_upload,
    sweep_uploads,
    upload_state,
)
from gateway.archive.visibility import may_see
from gateway.deps import Subscriber
from gateway.jobs.service import Handler

__all__ = [
    "ANY_PURPOSE",
    "FACTS",
    "FAILURES",
    "HANDLERS",
    "INSPECT",
    "SUBSCRIBERS",
    "UPKEEP",
    "CaseEntry",
    "ClientEntry",
    "ItemEntry",
    "Saved",
    "ShareableItem",
    "UploadView",
    "abort_upload",
    "add_basis",
    "add_item",
    "amend_case",
    "check_again",
    "claim_case",
    "complete_upload",
    "confirm_grant",
    "create_case",
    "create_client",
    "edit_case",
    "edit_client",
    "edit_item",
    "end_basis",
    "end_grant",
    "file_case",
    "gaps",
    "give_grant",
    "has_basis",
    "items_for_share",
    "may_see",
    "next_copy_number",
    "next_in",
    "object_id",
    "put_part",
    "return_case",
    "reveal_field",
    "shareable_item",
    "start_upload",
    "submit_case",
    "sweep_uploads",
    "upload_state",
    "void_case",
]

HANDLERS: Mapping[str, Handler] = {INSPECT: inspect_version}
FAILURES: Mapping[str, Handler] = {INSPECT: inspection_failed}
SUBSCRIBERS: Mapping[str, Subscriber] = {}
UPKEEP = (sweep_uploads,)
