"""The room of records: clients, cases 案卷, items 卷内文件, uploads, need-to-know grants."""
