//! Handlers of a pipeline's neighbours: queues, topics, tables, buckets, log groups, rules, schedules, state machines.
