"""What custody remembers."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, new_id


class StoreUpload(Base):
    """An upload in parts that an S3 store began or was about to begin; the row goes when it is joined or forgotten.

    `place` is the store (objects, bundles, evidence, audit), `upload` the server's id, null until it is known. A row
    that stays tells the sweep under which key abandoned parts may lie: servers list them for an exact key only.
    """

    __tablename__ = "store_upload"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    place: Mapped[str] = mapped_column(String(16), index=True)
    key: Mapped[str] = mapped_column(String(400))
    upload: Mapped[str | None] = mapped_column(String(1024))
    begun_at: Mapped[datetime]
