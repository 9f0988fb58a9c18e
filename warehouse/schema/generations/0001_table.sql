-- The generation that filled this warehouse: the newest row; generation 1 where there is none.
CREATE TABLE IF NOT EXISTS tally.generations
(
    number UInt32,
    since DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY since;
