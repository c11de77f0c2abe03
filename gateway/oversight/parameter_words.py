"""Names of the parameters of policy.md §10 for people; wd are working days."""

from collections.abc import Mapping

from gateway.principal import Text

_TABLE = """
share.valid_days|共享有效期（天）|Share: validity (days)
share.download_limit|每人每件下载次数|Share: downloads per contact and item
share.contacts|每份共享的联系人|Share: contacts
share.items|每份共享的文件|Share: items
share.link_window_min|同一次领取的时限（分）|Share: one collection lasts (min)
rate.downloads_per_hour|每小时下载上限|Downloads per hour
closeout.wd|结清期限（工作日）|Closeout (working days)
supersede.ack_wd|作废确认（工作日）|Superseded copy: acknowledgement (wd)
otp.minutes|一次性码有效（分）|One-time code: valid (min)
otp.tries|一次性码尝试次数|One-time code: tries
otp.resend_s|一次性码重发间隔（秒）|One-time code: resend after (s)
mfa.fresh_min|二次验证有效（分）|Second factor: fresh for (min)
session.idle_staff_min|员工会话空闲（分）|Staff session: idle (min)
session.idle_partner_min|合作方会话空闲（分）|Partner session: idle (min)
lockout.tries|锁定前尝试次数|Lock-out: tries
lockout.minutes|锁定时长（分）|Lock-out: minutes
loan.wd_L1|借期 一般（工作日）|Loan: ordinary (wd)
loan.wd_L2|借期 敏感（工作日）|Loan: sensitive (wd)
loan.wd_L3|借期 重要（工作日）|Loan: important (wd)
loan.max_open|同时借阅|Loans open at once
loan.extensions|续借次数|Loan: extensions
loan.extension_wd|续借期（工作日）|Loan: extension (wd)
loan.pickup_wd|领取期限（工作日）|Loan: to be fetched within (wd)
view.idle_min|查阅空闲（分）|Viewing: idle (min)
approval.remind_wd|审批提醒（工作日）|Approval: reminder (wd)
approval.expire_wd|审批超时（工作日）|Approval: times out (wd)
handover.late_wd|迟交（工作日）|Handover: late after (wd)
handover.receive_wd|接收期限（工作日）|Handover: to be received (wd)
catalogue.wd|编目期限（工作日）|Cataloguing (wd)
transfer.sign_wd|签收期限（工作日）|Transfer: to be signed (wd)
excerpt.pages|摘录页数|Excerpt: pages
major.items|重大事项：文件数|Major matter: items
major.clients|重大事项：客户数|Major matter: clients
grant.days|知悉授权（天）|Need-to-know grant (days)
delegation.days|委托代办（天）|Delegation (days)
access.review_days|授权复核周期（天）|Access review every (days)
nda.term_days|协议期限（天）|Agreement: term (days)
nda.sign_days|协议待签期限（天）|Agreement: to be signed (days)
nda.survival_years|保密存续（年）|Agreement: survival (years)
nda.return_days|返还期限（天）|Agreement: return within (days)
nda.incident_hours|事件通报（小时）|Agreement: incident notice (hours)
nda.remind_days|协议到期提醒（天）|Agreement: reminders (days before)
pia.valid_months|影响评估有效（月）|Impact assessment: valid (months)
pia.keep_years|影响评估保存（年）|Impact assessment: kept (years)
destroy.lookahead_days|到期预告（天）|Destruction: look-ahead (days)
destroy.cooling_days|销毁冷静期（天）|Destruction: cooling (days)
destroy.opinion_wd|销毁意见（工作日）|Destruction: opinion (wd)
destroy.supervisors|监销人数|Destruction: supervisors
backup.keep_days|备份保留（天）|Backups kept (days)
key.rotation_days|密钥轮换（天）|Key rotation (days)
restore.drill_days|恢复演练（天）|Restore drill every (days)
hold.review_days|冻结复核（天）|Hold: review every (days)
training.pass|培训及格分|Training: pass mark
training.valid_days|培训有效（天）|Training: valid (days)
training.tries_per_day|每日考试次数|Training: tries per day
policy.read_wd|制度阅读期限（工作日）|Policy: to be read (wd)
inspection.per_year|每年检查|Inspections per year
stocktake.per_year|每年盘点|Stocktakes per year
incident.triage_wd|事件初判（工作日）|Incident: triage (wd)
incident.notify_hours|事件通报（小时内）|Incident: notice within (hours)
dsr.days|个人请求答复（天）|Subject request (days)
log.keep_years|日志保存（年）|Log kept (years)
watermark.opacity_pct|水印浓度（%）|Watermark: opacity (%)
clock.back_s|时钟倒退容限（秒）|Clock: back at most (s)
clock.forward_min|时钟跳进容限（分）|Clock: forward at most (min)
copy.abandon_h|未领作废（小时）|Copy: abandoned after (hours)
scan.signature_days|病毒库时效（天）|Scanner signatures: age (days)
scan.required|必须病毒扫描|Virus scan required
retention.BG4_months|保管 BG4（月）|Retention BG4 (months)
retention.BG5_days|保管 BG5（天）|Retention BG5 (days)
retention.BG3_extra_years|保管 BG3 加（年）|Retention BG3, extra (years)
alert.downloads_per_hour|告警：每小时下载次数|Alert: downloads per hour
alert.refusals_per_hour|告警：每小时被拒次数|Alert: refusals per hour
alert.strangers_per_hour|告警：未登录者每小时被拒次数|Alert: refusals of strangers per hour
alert.work_from|告警：工作时间起（点）|Alert: working time from (hour)
alert.work_to|告警：工作时间止（点）|Alert: working time until (hour)
alert.unnumbered_s|告警：等待编号（秒）|Alert: waiting for a number (s)
alert.heartbeat_min|告警：心跳中断（分）|Alert: heartbeat missing (min)
alert.witness_min|告警：见证缺失（分）|Alert: witness missing (min)
alert.repeat_h|告警：未确认时再次通知（小时）|Alert: told again while unacknowledged (h)
account.warn_days|账号到期提醒（天）|Account: reminders (days before)
cross_border|允许出境|Cross-border receipt allowed
joint|允许共同处理|Joint handling allowed
unmarked|允许免水印例外|Unmarked exception allowed
"""

PARAMETER_TEXT: Mapping[str, Text] = {
    key: Text(zh, en) for key, zh, en in (line.split("|") for line in _TABLE.split("\n") if line)
}
