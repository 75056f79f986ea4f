-- archive: rindexer_producer
--
-- Each item of each entry becomes a row: of the consumer's own tables where they are, else of the tables in the schema sprockets. Items
-- that cannot be one become dead letters. migrations/003_events.sql has the function, and says how.
SELECT sprockets.rindexer_take()
