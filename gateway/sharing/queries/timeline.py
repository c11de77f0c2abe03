"""A share's timeline: its entries in the log in words, each with where it stands there."""

from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from gateway.audit import queries as log
from gateway.audit.queries import LogFilter
from gateway.audit.rows import LogEntry
from gateway.identity.models import Account, Contact
from gateway.principal import Text
from gateway.sharing.queries.results import TimeEntry

MOST = 100
ACTS = ("consent_dept", "consent_arc", "consent_arc_major", "approve", "activate", "revoke", "withdraw")
BINDING = frozenset(f"share.{act}" for act in ACTS)
WORDS: dict[str, Text] = {
    "share.draft": Text("{who}新建了共享", "{who} made a draft"),
    "share.edit": Text("{who}修改了内容", "{who} changed the contents"),
    "share.submit": Text("{who}提交审批", "{who} submitted it"),
    "share.consent_dept": Text("{who}同意（部门）", "{who} consented for the department"),
    "share.consent_arc": Text("{who}同意（档案）", "{who} consented for the archive"),
    "share.consent_arc_major": Text(
        "{who}同意（档案），报总经理", "{who} consented for the archive, to the general manager"
    ),
    "share.approve": Text("{who}批准", "{who} approved"),
    "share.reject_dept": Text("{who}驳回：{reason}", "{who} rejected it: {reason}"),
    "share.reject_arc": Text("{who}驳回：{reason}", "{who} rejected it: {reason}"),
    "share.reject_gm": Text("{who}驳回：{reason}", "{who} rejected it: {reason}"),
    "share.return_dept": Text("{who}退回修改：{reason}", "{who} sent it back: {reason}"),
    "share.return_arc": Text("{who}退回修改：{reason}", "{who} sent it back: {reason}"),
    "share.return_gm": Text("{who}退回修改：{reason}", "{who} sent it back: {reason}"),
    "share.take_back": Text("{who}撤回修改", "{who} took it back"),
    "share.cancel": Text("{who}取消", "{who} cancelled it"),
    "share.lapse": Text("审批超时", "The approval timed out"),
    "share.activate": Text("共享生效", "The share became active"),
    "share.suspend": Text("{who}暂停：{reason}", "{who} suspended it: {reason}"),
    "share.halt": Text("自动暂停：{cause}", "Suspended by itself: {cause}"),
    "share.resume": Text("{who}恢复：{reason}", "{who} resumed it: {reason}"),
    "share.recover": Text("自动恢复：{cause}", "Resumed by itself: {cause}"),
    "share.revoke": Text("{who}撤销：{reason}", "{who} revoked it: {reason}"),
    "share.withdraw": Text("随协议撤销：{cause}", "Revoked with its agreement: {cause}"),
    "share.expire": Text("下载截止", "Downloads closed"),
    "approval.void": Text("已有审批作废", "An approval became void"),
    "bundle.prepare": Text("{who}请求制作 {copies}", "{who} asked for {copies}"),
    "bundle.ready": Text("副本制作完成，逐页水印核对通过", "Copies made, every page's mark read back"),
    "bundle.fail": Text("副本没有做成：{cause}", "Copies could not be made: {cause}"),
    "bundle.abandon": Text("未领副本作废：{cause}", "Uncollected copies voided: {cause}"),
    "bundle.collect": Text("{who}领取了 {copies}", "{who} collected {copies}"),
    "bundle.reveal": Text("{who}查看了口令", "{who} was shown the passphrase"),
    "bundle.acknowledge": Text(
        "{who}已保存口令，口令已删除", "{who} kept the passphrase; it is deleted here"
    ),
    "release.completed": Text("文件传送完成，{bytes} 字节", "The file was sent, {bytes} bytes"),
    "release.aborted": Text("文件传送中断于第 {bytes} 字节", "The transfer stopped at byte {bytes}"),
    "refused": Text("拒绝了{who}的请求：{code} {conditions}", "Refused {who}: {code} {conditions}"),
}


def timeline(session: Session, share_id: str, bundles: Sequence[str]) -> tuple[TimeEntry, ...]:
    """The share's own entries and those of its bundles, newest first."""
    found = {e.id: e for e in log.page(session, LogFilter(share=share_id), limit=MOST).entries}
    for bundle in bundles:
        found.update(
            {e.id: e for e in log.page(session, LogFilter(object=("bundle", bundle)), limit=MOST).entries}
        )
    # Entries that wait for their number are the newest of their moment.
    ordered = sorted(found.values(), key=lambda e: (e.at, e.seq is None, e.seq or 0), reverse=True)
    return tuple(_entry(session, e) for e in ordered if e.event in WORDS)


def _entry(session: Session, entry: LogEntry) -> TimeEntry:
    data = entry.data
    text = _caused(WORDS[entry.event], str(data.get("cause", "–"))).format(
        who=_who(session, entry),
        reason=entry.personal.get("reason", "–"),
        copies=_joined(data.get("copies")),
        bytes=data.get("bytes", 0),
        code=data.get("code", ""),
        conditions=_joined(data.get("conditions")),
    )
    return TimeEntry(text, entry.at, proof_of(entry.seq, entry.checkpoint), act=entry.event in BINDING)


def _caused(words: Text, cause: str) -> Text:
    """The words with the cause in place; the restore of a backup is told in both languages."""
    zh, en = cause, cause
    if cause.startswith("restore.done "):
        zh, en = (
            "系统已从备份恢复，须由行政部门恢复共享",
            "restored from a backup; administration has to resume it",
        )
    # Braces in the cause are none of the places that are still to be filled.
    zh, en = (text.replace("{", "{{").replace("}", "}}") for text in (zh, en))
    return Text(words.zh.replace("{cause}", zh), words.en.replace("{cause}", en))


def _joined(values: object) -> str:
    return (
        "、".join(str(v) for v in values)
        if isinstance(values, Iterable) and not isinstance(values, str)
        else ""
    )


def _who(session: Session, entry: LogEntry) -> str:
    kind, _, identifier = entry.personal.get("actor.label", "").partition(":")
    row = (
        session.get(Account, identifier)
        if kind == "staff"
        else session.get(Contact, identifier)
        if kind == "contact"
        else None
    )
    return (
        row.name
        if row is not None
        else entry.personal.get("actor.name", "") or ("系统" if entry.actor == "system" else "–")
    )


def proof_of(seq: int | None, checkpoint: int | None) -> Text:
    """Where an entry stands, in words."""
    if seq is None:
        return Text("待检查点", "Waiting for a checkpoint")
    if checkpoint is None:
        return Text(f"条目 {seq}，待检查点", f"Entry {seq}, waiting for a checkpoint")
    return Text(f"条目 {seq}，已入检查点 {checkpoint}", f"Entry {seq}, in checkpoint {checkpoint}")
