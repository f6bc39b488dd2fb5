-- Warming memory up asks of all subjects only for those that take something away: few.
create index subject_restricted on subject (id) where disabled_at is not null or scope_cap is not null;
