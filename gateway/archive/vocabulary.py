"""The archive's words: field classes, levels, kinds of items, legal bases, purposes (policy.md §1, §2)."""

from dataclasses import dataclass

from gateway.principal import Text


@dataclass(frozen=True)
class FieldClass:
    """One row of policy.md §2.2: its level, and whether PIPL counts it as sensitive."""

    code: str
    text: Text
    level: int
    sensitive: bool = False


FIELD_CLASSES: dict[str, FieldClass] = {
    row.code: row
    for row in (
        FieldClass("F01", Text("姓名称谓", "Name and title"), 1),
        FieldClass("F02", Text("联系方式", "Contact details"), 2),
        FieldClass("F03", Text("身份证号", "Identity number"), 3, sensitive=True),
        FieldClass(
            "F04", Text("证件影像、房产证明", "Images of papers, proof of property"), 3, sensitive=True
        ),
        FieldClass("F05", Text("房屋地址", "Address of the home"), 2),
        FieldClass("F06", Text("装修需求", "Wishes for the works"), 1),
        FieldClass("F07", Text("设计方案、图纸", "Designs and drawings"), 2),
        FieldClass("F08", Text("预算、报价", "Budgets and offers"), 2),
        FieldClass("F09", Text("合同、付款账户", "Contracts, payment accounts"), 3, sensitive=True),
        FieldClass("F10", Text("家庭成员、不满14周岁", "Family, children under 14"), 3, sensitive=True),
        FieldClass("F11", Text("现场影像、门锁安防", "Site images, locks and alarms"), 3),
        FieldClass("F12", Text("沟通记录", "Correspondence"), 2),
    )
}
ALL_CLASSES = frozenset(FIELD_CLASSES)

LEVELS: dict[int, Text] = {
    1: Text("一般", "General"),
    2: Text("敏感", "Sensitive"),
    3: Text("重要", "Important"),
}

ITEM_TYPES: dict[str, Text] = {
    "FORM": Text("登记表", "Registration form"),
    "CONTRACT": Text("合同", "Contract"),
    "PLAN": Text("平面图", "Floor plan"),
    "RENDERING": Text("效果图", "Rendering"),
    "WORKING": Text("施工图", "Working drawing"),
    "BUDGET": Text("预算", "Budget"),
    "PHOTO": Text("照片", "Photo"),
    "PAPER": Text("证件", "Identity paper"),
    "TALK": Text("沟通", "Correspondence"),
    "OTHER": Text("其他", "Other"),
}

ORIGINALS: dict[str, Text] = {"ORIGINAL": Text("原件", "Original"), "COPY": Text("复印件", "Copy")}

MEDIA: dict[str, Text] = {
    "ELECTRONIC": Text("电子", "Electronic"),
    "PAPER": Text("纸质", "Paper"),
    "MIXED": Text("混合", "Mixed"),
}

CATEGORIES: dict[str, Text] = {"KH": Text("客户档案", "Client archive")}

RETENTION: dict[str, Text] = {
    "BG1": Text("设计、施工、验收", "Design, works, acceptance"),
    "BG2": Text("合同、结算", "Contract, settlement"),
    "BG3": Text("保修", "Warranty"),
    "BG4": Text("未成交意向", "Enquiry without contract"),
    "BG5": Text("证件影像", "Images of identity papers"),
    "BG6": Text("协议、同意、影响评估、委托记录", "Agreements, consents, assessments"),
    "BG7": Text("审计日志", "Audit log"),
    "BG8": Text("销毁清册、档号目录", "Registers of destruction and numbers"),
}

BASES: dict[str, Text] = {
    "B1": Text("同意", "Consent"),
    "B2": Text("订立履行合同所必需", "Needed for a contract"),
    "B3": Text("法定职责或义务", "Legal duty"),
    "B4": Text("突发紧急", "Emergency"),
    "B6": Text("已合法公开", "Lawfully public"),
    "B7": Text("其他法定", "Other ground in law"),
}

PURPOSES: dict[str, Text] = {
    "P01": Text("量房设计", "Measuring and design"),
    "P02": Text("报价签约", "Offer and contract"),
    "P03": Text("采购下单", "Purchasing"),
    "P04": Text("施工安装", "Works and installation"),
    "P05": Text("售后保修", "Service and warranty"),
    "P06": Text("财务结算", "Settlement"),
    "P07": Text("投诉纠纷", "Complaints and disputes"),
    "P08": Text("检查审计", "Inspection and audit"),
    "P09": Text("法定义务", "Legal duty"),
    "P99": Text("其他（须说明）", "Other (to be explained)"),
}

CLIENT_TYPES: dict[str, Text] = {"PERSON": Text("个人", "Person"), "UNIT": Text("单位", "Organisation")}

CLIENT_STATES: dict[str, Text] = {
    "INTENT": Text("意向", "Enquiry"),
    "SIGNED": Text("签约", "Signed"),
    "BUILDING": Text("施工", "Under construction"),
    "DONE": Text("竣工", "Completed"),
    "WARRANTY": Text("保修", "Warranty"),
    "CLOSED": Text("关闭", "Closed"),
}

ID_TYPES: dict[str, Text] = {
    "RESIDENT": Text("居民身份证", "Resident identity card"),
    "PASSPORT": Text("护照", "Passport"),
    "USCC": Text("统一社会信用代码", "Unified social credit code"),
    "OTHER": Text("其他证件", "Other paper"),
}

VERSION_STATES: dict[str, Text] = {
    "UPLOADING": Text("上传中", "Uploading"),
    "CHECKING": Text("检验中", "Being checked"),
    "READY": Text("已就绪", "Ready"),
    "REFUSED": Text("未接收", "Refused"),
}
