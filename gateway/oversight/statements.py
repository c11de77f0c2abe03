"""What a report from the log proves and what it does not, in both languages; every report carries these sentences."""

from collections.abc import Sequence

from gateway.principal import Text

PROVES: tuple[Text, ...] = (
    Text(
        "所列每条有编号的记录，在检查点签名时已在日志之中，此后未被改动。凭检查点公钥即可离线核验，不需要相信本系统。",
        "Each numbered entry listed was in the log when the checkpoint was signed and has not changed since. The checkpoint key"
        " alone is needed to check this offline; this portal need not be trusted.",
    ),
    Text(
        "记录之间的先后顺序如编号所示。",
        "The entries stand in the order of their numbers.",
    ),
    Text(
        "写出的姓名、网络地址和理由，与写入日志时所作的承诺一致。",
        "Names, addresses and reasons that are shown are those the entries committed to when they were written.",
    ),
)
COSIGNED = Text(
    "检查点另有见证签名（{names}）：见证方在签名时确认日志只增未改。见证公钥须另行取得。",
    "The checkpoint bears cosignatures ({names}): when they signed, the log had only grown. Their keys must be had elsewhere.",
)
NOT_COSIGNED = Text(
    "检查点没有见证签名：持有日志签名密钥的人，仍可能向他人出示另一本日志。把本检查点与早先取得的检查点比对，可以发现这种情况。",
    "The checkpoint bears no cosignature: whoever holds the log's key could still show somebody else another log. Comparing"
    " this checkpoint with one obtained earlier would reveal it.",
)
NOT_PROVED: tuple[Text, ...] = (
    Text(
        "不证明没有列出的事情没有发生：这是筛选后的记录。完整导出可以证明没有遗漏。",
        "It does not prove that nothing else happened: these entries are a selection. Only a complete export shows that none is"
        " left out.",
    ),
    Text(
        "不证明时间准确：时间是本系统自己的陈述；编号的先后才是被证明的。",
        "It does not prove the times: they are this portal's own statement. The order of the numbers is proved.",
    ),
    Text(
        "不证明是哪个自然人在操作：记录的是通过了密码和二次验证的账号。",
        "It does not prove which human being acted: the account is recorded, which passed password and second factor.",
    ),
    Text(
        "不证明文件离开之后发生了什么；拍照、转录无法控制。水印识别的是副本，不单独证明个人行为。",
        "It does not prove what happened to a file after it left; photographs and copying by hand cannot be controlled. A mark"
        " identifies a copy and does not by itself prove what a person did.",
    ),
    Text(
        "已抹除的个人信息不再能从记录中得知，任何人都不能恢复。",
        "Erased personal data can no longer be learnt from the entries, by anybody.",
    ),
)


def proves(cosigners: Sequence[str]) -> tuple[Text, ...]:
    """What the report proves, given whose lines stand on its checkpoint."""
    more = (COSIGNED.format(names=", ".join(cosigners)),) if cosigners else ()
    return PROVES + more


def leaves_open(cosigners: Sequence[str]) -> tuple[Text, ...]:
    """What it does not prove."""
    return NOT_PROVED + (() if cosigners else (NOT_COSIGNED,))
