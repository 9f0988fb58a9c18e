-- Which generation of what is derived has filled this warehouse: the newest row; without any, the first one.
CREATE TABLE IF NOT EXISTS tally.generations
(
    number UInt32,
    since DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY since;
