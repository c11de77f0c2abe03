"""What is said to whom: subjects of policy.md §6. Outside texts hold a number and a link only."""

from dataclasses import dataclass

from gateway.principal import Text


@dataclass(frozen=True)
class Notice:
    """One kind of message; `outside` goes to partners under the company's name; `path` is where its link leads."""

    subject: Text
    body: Text
    outside: bool = False
    path: str = "/"


_OPEN = Text("请登录查看：{link}", "Sign in to see it: {link}")


def _inside(zh: str, en: str, path: str = "/") -> Notice:
    return Notice(Text("【封签】" + zh, "[SealGate] " + en), _OPEN, path=path)


def _outside(zh: str, en: str, path: str = "/") -> Notice:
    return Notice(Text("【{company}】" + zh, "[{company}] " + en), _OPEN, outside=True, path=path)


CATALOGUE: dict[str, Notice] = {
    "approval.waiting": _inside("待您审批：{type} {no}", "Waiting for your approval: {type} {no}"),
    "decided": _inside("{no} 已{result}", "{no}: {result}"),
    "share.active": _outside("您有资料待查阅 {no}", "Documents are ready for you: {no}", "/my/shares"),
    "copy.downloaded": _inside("副本 {copy} 已下载", "Copy {copy} was downloaded"),
    "copy.receipt": _outside(
        "副本 {copy} 的下载已记录", "Your download of copy {copy} is on record", "/my/shares"
    ),
    "copy.ready": _outside("副本已备好 {no}", "Your copy is ready: {no}", "/my/shares"),
    "release.refused": _inside("放行未通过 {no}：{codes}", "Release refused {no}: {codes}"),
    "share.stopped": _inside("共享已{state} {no}", "Share {no}: {state}"),
    "share.stopped.outside": _outside("共享已{state} {no}", "Share {no}: {state}", "/my/shares"),
    "agreement.sent": _outside("请签署保密协议 {no}", "Please sign the agreement {no}", "/my/agreements"),
    "agreement.due": _outside("协议 {n} 天后到期 {no}", "Agreement {no} ends in {n} days", "/my/agreements"),
    "agreement.lapsed": _outside("协议已到期 {no}", "Agreement {no} has lapsed", "/my/agreements"),
    "agreement.signed": _inside(
        "对方已签，待会签 {no}", "Signed by the partner, waiting for countersignature: {no}"
    ),
    "agreement.in_force": _outside("协议已生效 {no}", "Agreement {no} is in force", "/my/agreements"),
    "agreement.ended": _outside("协议已终止 {no}", "Agreement {no} was terminated", "/my/agreements"),
    "agreement.inside": _inside("协议 {no} {state}", "Agreement {no}: {state}"),
    "invitation": Notice(
        Text("【{company}】请启用您的账号", "[{company}] Activate your account"),
        Text(
            "链接 72 小时内有效，仅可使用一次：{link}",
            "The link is valid for 72 hours and works once: {link}",
        ),
        outside=True,
    ),
    "contact.enrolled": _inside(
        "联系人已完成登记，待核验 {no}",
        "A contact has enrolled and waits for verification: {no}",
        "/partners",
    ),
    "contact.confirmed": _outside("身份已核验，账号可以使用", "You are verified; your account is ready"),
    "credential.changed": _outside("您的登录方式已变更", "Your way of signing in was changed"),
    "account.ending": _inside("账号将于 {date} 停用", "Your account ends on {date}"),
    "alert": _inside("安全告警 {code}", "Security alert {code}", "/alerts"),
    "log.head": Notice(
        Text("【封签】审计日志检查点，共 {n} 条", "[SealGate] Checkpoint of the log: {n} entries"),
        Text(
            "请保存这封邮件：日志日后的任何检查点都必须是它的延续。\n\n{note}",
            "Keep this message: every later checkpoint of the log must extend this one.\n\n{note}",
        ),
        path="/log",
    ),
    "parameter.proposed": _inside(
        "业务参数变更待确认", "A change of parameters waits for confirmation", "/parameters"
    ),
    "case.review": _inside("编目待复核 {no}", "Catalogue entry waits for review: {no}"),
    "case.decided": _inside("编目 {no} 已{result}", "Catalogue entry {no}: {result}"),
}
