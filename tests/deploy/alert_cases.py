"""For each alert: series under which it fires, series under which it must not, and after how many minutes to look.

A series' values are promtool's: `0x90` is 0, and ninety times the same, one each minute; `0+60x90` grows by 60.
"""

UP = 'up{job="sprockets-sidecar",instance="a"}'
JOB = 'job="sprockets-sidecar",instance="a"'


def of(name, values, labels=""):
    return f"{name}{{{JOB}{',' if labels else ''}{labels}}}", values


def mode(ack):
    return of("sprockets_build_info", "1x90", f'ack="{ack}"')


CLOSED = of("sprockets_breaker_open", "0x90")
FULL = 8 * 2**30

# alert: (minute, [each a list of series under which it fires], [each a list under which it is silent])
CASES = {
    "SprocketsSidecarDown": (5, [[(UP, "0x90")], []], [[(UP, "1x90")]]),
    "SprocketsLoopStuck": (5, [[of("sprockets_snapshot_age_seconds", "0+60x90")]],
                           [[of("sprockets_snapshot_age_seconds", "0.5x90")],
                            [('sprockets_snapshot_age_seconds{job="sprockets-archiver"}', "0+60x90")]]),
    "SprocketsEventsRefused": (
        20, [[of("sprockets_takes_events", "0x90")],
             [of("sprockets_events_refused_total", "0+5x90", 'reason="retry"')]],
        [[of("sprockets_takes_events", "1x90"), of("sprockets_events_refused_total", "7x90", 'reason="retry"')],
         [of("sprockets_events_refused_total", "0+5x90", 'reason="invalid"')]]),
    "SprocketsNotReady": (10, [[of("sprockets_ready", "0x90")]],
                          [[of("sprockets_ready", "1x90")], [of("sprockets_ready", "1x7 0x90")],
                            [('sprockets_ready{job="sprockets-archiver"}', "0x90")]]),
    "SprocketsRedisAway": (5, [[of("sprockets_redis_connected", "0x90")]],
                           [[of("sprockets_redis_connected", "1x90")], [of("sprockets_redis_connected", "1x4 0x90")],
                            [('sprockets_redis_connected{job="sprockets-archiver"}', "0x90")]]),
    "SprocketsSpilling": (
        10, [[mode("redis"), of("sprockets_events_spilled_total", "0+60x90", 'stream="s"')]],
        [[mode("disk"), of("sprockets_events_spilled_total", "0+60x90", 'stream="s"')],
         [mode("redis"), of("sprockets_events_spilled_total", "600x90", 'stream="s"')]]),
    "SprocketsBacklogOld": (
        30, [[mode("redis"), of("sprockets_spill_oldest_age_seconds", "0+60x90")],
             [mode("disk"), of("sprockets_journal_lag_seconds", "0+60x90")]],
        [[mode("disk"), of("sprockets_spill_oldest_age_seconds", "0+60x90"), of("sprockets_journal_lag_seconds", "0x90")],
         [mode("redis"), of("sprockets_spill_oldest_age_seconds", "600x90")]]),
    "SprocketsBacklogNotShrinking": (
        30, [[mode("redis"), CLOSED, of("sprockets_spill_rows", "500x90")],
             [mode("disk"), CLOSED, of("sprockets_journal_lag_seconds", "0+60x90")]],
        [[mode("redis"), CLOSED, of("sprockets_spill_rows", "9000-100x90")],  # it shrinks
         [mode("redis"), of("sprockets_breaker_open", "1x90"), of("sprockets_spill_rows", "0+50x90")],  # Redis is away
         [mode("redis"), of("sprockets_breaker_open", "1x25 0x90"), of("sprockets_spill_rows", "500x90")],  # just back
         [mode("redis"), CLOSED, of("sprockets_spill_rows", "0x90")],
         [mode("disk"), CLOSED, of("sprockets_spill_rows", "500x90"), of("sprockets_journal_lag_seconds", "0x90")]]),
    "SprocketsSpillNearQuota": (
        5, [[mode("redis"), of("sprockets_spill_bytes", f"{FULL * 9 // 10}x90"), of("sprockets_spill_max_bytes", f"{FULL}x90")]],
        [[mode("redis"), of("sprockets_spill_bytes", f"{FULL // 2}x90"), of("sprockets_spill_max_bytes", f"{FULL}x90")],
         [mode("disk"), of("sprockets_spill_bytes", f"{FULL * 9 // 10}x90"), of("sprockets_spill_max_bytes", f"{FULL}x90")]]),
    "SprocketsDiskNearlyFull": (
        30, [[of("sprockets_spill_disk_free_bytes", "500000000x90")],
             [of("sprockets_spill_disk_free_bytes", "9000000000-200000000x40")]],
        [[of("sprockets_spill_disk_free_bytes", "9000000000x90")],
         [of("sprockets_spill_disk_free_bytes", "9000000000-1000000x90")]]),
    "SprocketsDiskNotWritable": (
        5, [[of("sprockets_spill_writable", "0x90")], [of("sprockets_spill_report_age_seconds", "0+60x90")],
            [of("sprockets_journal_blocked", "1x90")]],
        [[of("sprockets_spill_writable", "1x90"), of("sprockets_spill_report_age_seconds", "2x90"),
          of("sprockets_journal_blocked", "0x90")]]),
    "SprocketsStreamRefused": (5, [[of("sprockets_stream_refused", "1x90", 'stream="s"')]],
                               [[of("sprockets_streams_refused", "0x90")]]),
    "SprocketsFileQuarantined": (5, [[of("sprockets_spill_files", "1x90", 'state="quarantined"')]],
                                 [[of("sprockets_spill_files", "0x90", 'state="quarantined"'),
                                   of("sprockets_spill_files", "3x90", 'state="suspect"')]]),
    "SprocketsUnknownAnswered": (20, [[of("sprockets_events_refused_total", "0x14 3x90", 'reason="unknown"')]],
                                 [[of("sprockets_events_refused_total", "3x90", 'reason="unknown"')],
                                  [of("sprockets_events_refused_total", "0+1x90", 'reason="retry"')]]),
    "SprocketsUnproven": (30, [[of("sprockets_journal_unproven_total", "0x20 1x90")],
                               [of("sprockets_journal_reported_total", "0x20 1x90")]],
                          [[of("sprockets_journal_unproven_total", "1x90"), of("sprockets_journal_reported_total", "1x90")]]),
    "SprocketsRejected": (30, [[of("sprockets_journal_rejected_total", "0x20 1x90")]],
                          [[of("sprockets_journal_rejected_total", "1x90")]]),
    "SprocketsWritesSkipped": (
        20, [[of("sprockets_skipped_keys", "3x90"), of("sprockets_redis_connected", "1x90")]],
        [[of("sprockets_skipped_keys", "3x90"), of("sprockets_redis_connected", "0x90")],
         [of("sprockets_skipped_keys", "0x90"), of("sprockets_redis_connected", "1x90")]]),
    "SprocketsSilence": (
        80, [[of("sprockets_events_accepted_total", "0+60x10 600x90", 'stream="s"'), CLOSED,
              of("sprockets_start_timestamp_seconds", "0x90")]],
        [[of("sprockets_events_accepted_total", "0+1x90", 'stream="s"'), CLOSED, of("sprockets_start_timestamp_seconds", "0x90")],
         [of("sprockets_events_accepted_total", "600x90", 'stream="s"'), of("sprockets_breaker_open", "1x90"),
          of("sprockets_start_timestamp_seconds", "0x90")],
         [of("sprockets_events_accepted_total", "600x90", 'stream="s"'), CLOSED,
          of("sprockets_start_timestamp_seconds", "3000x90")]]),
}
