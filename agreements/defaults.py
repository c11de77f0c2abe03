"""First texts of the other kinds: entrusted processing, supplement, terms of use; counsel looks at them before use.

The non-disclosure agreement's own text stands in agreements/text.py.
"""

from collections.abc import Mapping

from agreements.text import DEFAULT, AgreementText

ENTRUST = AgreementText(
    version="ENTRUST-1",
    zh="""个人信息委托处理协议
编号 {nda_no} 模板 {template_version}
甲方（委托人） {company_name}（{company_uscc}）
乙方（受托人） {partner_name}（{partner_uscc}），签署人 {signer_name}（{signer_title}）
一、目的和期限。乙方仅为{pi_purpose}处理个人信息，期限{pi_period}；客户范围{client_scope}，用途{purpose}。
二、方式和种类。处理方式：{pi_method}；个人信息种类：{pi_categories}，类别{category_scope}。
三、保护措施。{pi_safeguards}
四、监督。乙方按约定处理，接受甲方监督和核查，协助甲方响应个人的请求，履行法定义务。
五、不得转委托。未经甲方书面同意，乙方不得转委托他人处理，不得向境外提供。
六、事件。发现或怀疑泄露、篡改、丢失，立即且不迟于{incident_hours}小时通知{incident_contact}，并配合处置。
七、返还或删除。{pi_return}；期满、解除或协议不生效、无效、被撤销的，{return_days}日内完成，不得保留。
八、期限。{effective_from}至{effective_to}；个人信息保护义务依法存续。
""",
    en="""Entrusted processing of personal information (short; Chinese prevails)
{company_name} entrusts {partner_name} with processing for {pi_purpose}, {pi_period}.
1 Manner {pi_method}; kinds {pi_categories}.
2 Safeguards: {pi_safeguards}
3 Supervision and assistance; no sub-entrusting; no transfer abroad.
4 Notify {incident_contact} at once, within {incident_hours} h.
5 Return or delete: {pi_return}; done within {return_days} days.
6 {effective_from} to {effective_to}.
""",
)

SUPPLEMENT = AgreementText(
    version="SUPPLEMENT-1",
    zh="""客户信息保密协议之补充协议
编号 {nda_no} 补充 {parent_no} 模板 {template_version}
甲方 {company_name}（{company_uscc}）
乙方 {partner_name}（{partner_uscc}），签署人 {signer_name}（{signer_title}）
一、补充范围。双方同意将下列信息纳入{parent_no}号保密协议：客户范围{client_scope}，类别{category_scope}，用途{purpose}。
二、适用。对上述信息，双方的权利义务与{parent_no}号协议相同；该协议终止或失效的，本补充协议同时终止。
三、期限。{effective_from}至{effective_to}，且不超过{parent_no}号协议的期限。
""",
    en="""Supplement to the client information NDA (short; Chinese prevails)
{company_name} and {partner_name} add to agreement {parent_no}: clients {client_scope}, classes {category_scope}, \
purposes {purpose}.
1 The terms of agreement {parent_no} apply; this supplement ends with it.
2 {effective_from} to {effective_to}.
""",
)

TERMS = AgreementText(
    version="TERMS-1",
    zh="""资料领取平台使用条款
{company_name}的资料只供您本人在约定用途内使用。
一、账号。账号和验证器只由您本人使用，不转借；怀疑泄露时立即告知{company_name}。
二、记录。访问和领取的时间、账号、网络地址和副本编号会被记录；副本带有可见标记。
三、禁止。不得去除标记、转发、公开或用于其他目的。
""",
    en="""Terms of use
The files of {company_name} are for you alone, within the agreed purposes.
1 Your account and authenticator are yours alone; tell {company_name} at once if you suspect misuse.
2 Times, account, network address and copy numbers are recorded; copies carry visible marks.
3 Do not remove marks, pass on, publish or use for anything else.
""",
)

DEFAULTS: Mapping[str, AgreementText] = {
    "NDA": DEFAULT,
    "ENTRUST": ENTRUST,
    "SUPPLEMENT": SUPPLEMENT,
    "TERMS": TERMS,
}
