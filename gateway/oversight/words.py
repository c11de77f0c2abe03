"""What stands in the log, in words: events, kinds of objects, codes of refusals. What has no words is shown as it is."""

from collections.abc import Mapping
from types import ModuleType

from gateway.archive import rules as archive
from gateway.errors import Invalid, NotAllowed, NotFound, Refused, StaleFactor, TooMany, Withheld, WrongState
from gateway.identity import rules as identity
from gateway.oversight import rules as oversight
from gateway.principal import Text
from gateway.sharing import rules as sharing
from gateway.signing import rules as signing
from gateway.workflow import Process

KINDS: Mapping[str, Text] = {
    "account": Text("账号", "Account"),
    "alert": Text("告警", "Alert"),
    "agreement": Text("协议", "Agreement"),
    "backup": Text("备份", "Backup"),
    "basis": Text("合法性基础", "Legal basis"),
    "bundle": Text("领取包", "Bundle"),
    "case": Text("案卷", "Case"),
    "client": Text("客户", "Client"),
    "contact": Text("联系人", "Contact"),
    "copy": Text("副本", "Copy"),
    "department": Text("部门", "Department"),
    "grant": Text("知悉授权", "Need-to-know grant"),
    "item": Text("卷内文件", "Item"),
    "key": Text("密钥", "Key"),
    "keycopy": Text("密钥副本", "Copy of keys"),
    "log": Text("日志", "Log"),
    "object": Text("存储对象", "Stored object"),
    "organisation": Text("合作单位", "Partner"),
    "page": Text("页面", "Page"),
    "parameter": Text("业务参数", "Parameters"),
    "session": Text("登录会话", "Session"),
    "share": Text("共享", "Share"),
    "template": Text("协议模板", "Template"),
    "version": Text("文件版次", "File version"),
}


def _processes(*rooms: ModuleType) -> tuple[Process, ...]:
    found = [value for room in rooms for value in vars(room).values() if isinstance(value, Process)]
    return tuple({process.name: process for process in found}.values())


PROCESSES = _processes(identity, archive, signing, sharing, oversight)
_STATES: Mapping[str, Mapping[str, Text]] = {
    p.name: {name: state.text for name, state in p.states.items()} for p in PROCESSES
}


def _moves() -> dict[str, Text]:
    found: dict[str, Text] = {}
    for process in PROCESSES:
        noun = KINDS.get(process.name, Text(process.name, process.name))
        for step in process.moves:
            words = Text(f"{noun.zh}：{step.button.zh}", f"{noun.en}: {step.button.en.lower()}")
            found.setdefault(f"{process.name}.{step.event}", words)
    return found


_TABLE = """
account.change|账号：修改|Account: changed
account.named|账号：登记姓名|Account: name registered
agreement.exported|协议：导出台账|Agreements: register taken away
agreement.held|协议：签章未完成，稍后重试|Agreement: not sealed yet, tried again later
agreement.read|协议：阅读|Agreement: read
alert|安全告警|Security alert
anchor.failed|锚定：失败|Anchor: failed
anchor.restored|锚定：恢复|Anchor: works again
anchor.stamp_failed|锚定：时间戳失败|Anchor: not time-stamped
anchor.stamped|锚定：已加盖时间戳|Anchor: time-stamped
approval.void|共享：审批作废|Share: approval void
backup.expired|备份：到期清除|Backup: expired and removed
backup.made|备份：完成|Backup: made
basis.added|合法性基础：登记|Legal basis: added
basis.ended|合法性基础：终止|Legal basis: ended
bundle.acknowledge|领取包：确认已收口令|Bundle: passphrase acknowledged
bundle.issue|领取包：签发|Bundle: issued
bundle.reveal|领取包：显示口令|Bundle: passphrase shown
case.edited|案卷：修改|Case: edited
client.created|客户：登记|Client: registered
client.edited|客户：修改|Client: edited
client.revealed|客户：查看加密字段|Client: sealed field shown
contact.age_key|联系人：登记 age 公钥|Contact: age key registered
contact.code_made|联系人：生成回读码|Contact: read-back code made
contact.code_wrong|联系人：回读码不符|Contact: wrong read-back code
contact.named|联系人：登记姓名|Contact: name registered
contact.signer|联系人：签署权变更|Contact: authority to sign changed
credential.password|登录：修改密码|Sign-in: password changed
credential.recovery|登录：更换恢复码|Sign-in: recovery codes renewed
credential.recovery_used|登录：使用恢复码|Sign-in: recovery code used
credential.rehash|登录：重算密码摘要|Sign-in: password digest renewed
credential.set|登录：设置凭据|Sign-in: credentials set
credential.totp|登录：更换验证器|Sign-in: authenticator changed
department.add|部门：新增|Department: added
department.change|部门：修改|Department: changed
grant.confirmed|知悉授权：确认|Grant: confirmed
grant.ended|知悉授权：终止|Grant: ended
grant.given|知悉授权：给出|Grant: given
invitation.made|邀请：生成链接|Invitation: link made
item.added|卷内文件：登记|Item: added
item.edited|卷内文件：修改|Item: edited
item.view|卷内文件：查看|Item: viewed
keys.exported|密钥：导出副本|Keys: copy exported
keys.rotate_begun|密钥：开始轮换|Keys: rotation begun
keys.rotated|密钥：轮换完成，旧密钥已销毁|Keys: rotated, old ones destroyed
log.continued|日志：旧日志冻结，新日志承接|Log: frozen and continued under a new origin
log.exported|日志：导出|Log: exported
log.read|日志：查询|Log: read
object.destroyed|存储对象：密钥与密文已删除|Object: key and ciphertext deleted
object.destroying|存储对象：开始销毁|Object: destruction begun
person.language|账号：更换语言|Account: language changed
person.timezone|账号：更换时区|Account: time zone changed
pledge.accept|个人承诺：接受|Undertaking: accepted
terms.accept|使用条款：接受|Terms of use: accepted
refused|已拒绝|Refused
refused.strangers|已拒绝：未登录者|Refused: strangers
release.aborted|放行：传输中断|Release: broken off
release.completed|放行：传输完成|Release: completed
restore.done|备份：已恢复，会话作废、共享暂停|Backup: restored, sessions void, shares suspended
restore.drill|备份：恢复演练|Backup: restore drill
role.declined|角色：未同意|Role: declined
role.ended|角色：终止|Role: ended
role.granted|角色：授予|Role: granted
role.proposed|角色：提议|Role: proposed
session.begin|会话：登录|Session: begun
session.end|会话：结束|Session: ended
session.fresh|会话：二次验证|Session: second factor
session.revoke|会话：撤销|Session: revoked
share.contents|共享：清单变更|Share: contents changed
share.edit|共享：修改|Share: edited
ticket.open|领取包：打开下载票据|Bundle: ticket opened
version.checking|文件版次：检查中|File version: being checked
version.ready|文件版次：可用|File version: ready
version.refused|文件版次：未接收|File version: refused
version.started|文件版次：开始上传|File version: upload begun
version.uploaded|文件版次：上传完成|File version: uploaded
"""


def _rows() -> dict[str, Text]:
    found: dict[str, Text] = {}
    for line in _TABLE.split("\n"):
        if line:
            event, zh, en = line.split("|")
            found[event] = Text(zh, en)
    return found


EVENTS: Mapping[str, Text] = {**_moves(), **_rows()}

_REFUSALS = (NotAllowed, NotFound, StaleFactor, WrongState, Withheld, TooMany, Refused, Invalid)
CODES: Mapping[str, Text] = {
    **{e.code: e.text for e in _REFUSALS},
    "WRONG_CODE": Text("动态口令不符。", "Wrong one-time code."),
    "METHOD": Text("不能这样打开。", "Not opened this way."),
}


def event_text(event: str) -> Text:
    """An event's words; an unknown one as it stands in the log."""
    return EVENTS.get(event) or Text(event, event)


def kind_text(kind: str) -> Text:
    """The words for a kind of object; an unknown one as it stands in the log."""
    return KINDS.get(kind) or Text(kind, kind)


def state_text(kind: str, state: str) -> Text:
    """A state's words in the process of that kind; an unknown one as it stands in the log."""
    return _STATES.get(kind, {}).get(state) or Text(state, state)
