"""The words of the release decision: each condition's code, label and remedy (policy.md §4)."""

from dataclasses import dataclass

from gateway.principal import Text


@dataclass(frozen=True)
class Criterion:
    """One row of the table: `live` codes are read again while bytes flow, `submit` codes already when a share is handed in."""

    code: str
    label: Text
    remedy: Text
    live: bool = False
    submit: bool = False


def _row(code: str, zh: str, en: str, todo: str, do: str) -> Criterion:
    bare = code.rstrip("*!")
    return Criterion(bare, Text(zh, en), Text(todo, do), live="*" in code, submit="!" in code)


# A star marks a live code, an exclamation mark one that is also asked at submit.
CRITERIA: tuple[Criterion, ...] = (
    _row("ID", "身份已核验", "Identity verified", "联系行政部核验", "Ask Administration to verify"),
    _row("MFA", "二次验证有效", "Second factor fresh", "重新验证", "Verify again"),
    _row("SESS*", "会话有效", "Session live", "重新登录", "Sign in again"),
    _row("CONTACT*", "联系人启用", "Contact active and named", "更换联系人", "Choose another contact"),
    _row("ORG*", "单位启用且无逾期结清", "Organisation active", "完成结清", "Settle what is open"),
    _row("NDA*!", "保密协议生效", "NDA in force", "签署或续签", "Sign or renew"),
    _row("COVER!", "协议覆盖客户、类别、用途、日期", "Agreement covers all", "补充协议", "Add a supplement"),
    _row("NDAHASH", "协议原文未变", "Agreement unaltered", "停止并报告", "Stop and report"),
    _row("PLEDGE", "个人承诺已接受", "Personal undertaking accepted", "接受承诺", "Accept the undertaking"),
    _row("APPROVAL", "审批完整", "Approvals complete", "提交审批", "Submit for approval"),
    _row("SOD", "无自我审批", "Duties separate", "更换审批人", "Change the approver"),
    _row("STATE*", "共享生效、未撤销", "Share active", "联系经办人", "Ask the person in charge"),
    _row("VALID*", "在有效期内", "Within its validity", "申请延期", "Ask for more time"),
    _row("ITEM", "文件及版次在清单", "Item and version listed", "更新清单", "Update the list"),
    _row("RIGHT", "操作已授权", "Action allowed", "申请权限", "Ask for the right"),
    _row("LIMIT", "下载次数有余", "Downloads left", "申请增次", "Ask for more downloads"),
    _row("PLACE", "网络、终端许可", "Network or device allowed", "在许可网络访问", "Use an allowed network"),
    _row("HOLD*!", "未冻结", "No hold", "等待解冻", "Wait for its release"),
    _row("ALIVE*!", "未销毁、未待销", "Not destroyed or cooling", "不可恢复", "Cannot be undone"),
    _row("FILED!", "已归档有档号", "Filed with a file number", "先归档", "File it first"),
    _row("MASK!", "脱敏已复核", "Masking reviewed", "复核脱敏", "Review the masking"),
    _row(
        "MARK!", "可加水印或有具名例外", "Can be marked or has an exception", "转换格式", "Convert the format"
    ),
    _row("MARKED", "水印已回读", "Mark read back", "重新生成", "Make it again"),
    _row("SCAN!", "病毒扫描通过", "Virus scan passed", "重新扫描", "Scan again"),
    _row("HASH", "原件完整", "Original intact", "报告事件", "Report an incident"),
    _row("BASIS!", "合法性基础有效", "Legal basis valid", "补充同意", "Obtain consent"),
    _row(
        "RELATION!", "委托处理记录或单独同意", "Entrustment record or consent", "补充记录", "Add the record"
    ),
    _row("PIA!", "影响评估有效", "Impact assessment valid", "完成评估", "Complete the assessment"),
    _row("BORDER!", "不涉及出境", "No cross-border receipt", "合规审批", "Ask for compliance review"),
    _row("TRAIN", "经办人培训有效", "Issuer trained", "完成培训", "Complete the training"),
    _row("ISSUER", "经办人在职", "Issuer active", "移交经办", "Hand the share over"),
    _row("DSR!", "无删除、撤回限制", "No subject's restriction", "处理请求", "Handle the request"),
    _row("INCIDENT*", "无已遏制未结事件", "No contained open incident", "等待结论", "Wait for its outcome"),
    _row("RATE", "无异常访问", "No anomaly stop", "行政部解除", "Ask Administration to lift it"),
    _row("KEY", "密钥可用、加密成功", "Keys ready, bundle encrypted", "联系管理员", "Ask the administrator"),
    _row("LOG", "日志可写并可见证", "Log writable", "暂停发放", "Releases pause"),
    _row("CLOCK", "时钟可信", "Clock trusted", "校时", "Set the clock"),
)
BY_CODE = {c.code: c for c in CRITERIA}
LIVE = frozenset(c.code for c in CRITERIA if c.live)
SUBMIT = frozenset(c.code for c in CRITERIA if c.submit)

# The rooms that will judge these are not there yet: they are shown as 未启用, never as met.
NOT_ENABLED = frozenset({"MASK", "RELATION", "PIA", "HOLD", "TRAIN", "DSR", "INCIDENT"})
