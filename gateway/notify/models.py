"""Messages: one row each, shown in the portal and, where the person has an address, mailed."""

from datetime import datetime

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, new_id


class Message(Base):
    """One message to one recipient (an account, a contact, or everyone in a role). mail: QUEUED, SENT, FAILED, NONE."""

    __tablename__ = "message"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    event: Mapped[str] = mapped_column(String(40))
    recipient_kind: Mapped[str] = mapped_column(String(16))
    recipient: Mapped[str] = mapped_column(String(32), index=True)
    fields: Mapped[dict[str, str]] = mapped_column(JSON)
    secret: Mapped[bool] = mapped_column(default=False)
    mail: Mapped[str] = mapped_column(String(16), default="QUEUED", index=True)
    tries: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
