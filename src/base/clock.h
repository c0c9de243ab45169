/*
 * Time, randomness and ids: what tests replace.
 *
 * All times are microseconds in an int64_t. Wall time counts from 1970 UTC; monotonic
 * time from an arbitrary start and is what deadlines are made of. A test that calls
 * clock_fake() owns both: they stand still until clock_advance().
 */
#ifndef YUNDUO_BASE_CLOCK_H
#define YUNDUO_BASE_CLOCK_H

#include "base/arena.h"

typedef int64_t usec_t;

#define USEC_PER_MSEC ((usec_t)1000)
#define SECONDS(n) ((usec_t)(n) * 1000000)
#define MINUTES(n) SECONDS((usec_t)(n) * 60)
#define HOURS(n) MINUTES((usec_t)(n) * 60)
#define DAYS(n) HOURS((usec_t)(n) * 24)

usec_t clock_wall(void);
usec_t clock_mono(void);
/* Tests: from here on wall time stands at 'wall'. */
void clock_fake(usec_t wall);
void clock_advance(usec_t by);
void clock_real(void);

enum time_style {
    TIME_ISO_Z,         /* 2026-01-31T12:00:00Z */
    TIME_ISO_MICRO_Z,   /* 2026-01-31T12:00:00.000000Z */
    TIME_ISO_MICRO,     /* 2026-01-31T12:00:00.000000 */
    TIME_ISO,           /* 2026-01-31T12:00:00 */
    TIME_HTTP,          /* Sat, 31 Jan 2026 12:00:00 GMT */
};
#define TIME_TEXT_SIZE 40
/* Writes 't' in this style; 'out' has TIME_TEXT_SIZE bytes. Returns 'out'. */
char *time_format(usec_t t, enum time_style style, char *out);
/* Reads ISO 8601 with optional fraction and zone (Z, +hh:mm; none means UTC), or a plain
 * date. 0, or -EINVAL. */
int time_parse(const char *text, usec_t *ret);

/* Fills with bytes fit for keys. Never fails: without randomness the process ends. */
void random_bytes(void *out, size_t n);
/* Tests: ids and bytes come from a generator seeded with 'seed', the same each run. */
void random_fake(uint64_t seed);

#define UUID_TEXT_SIZE 37
/* A random UUID, "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx". Returns 'out'. */
char *uuid_text(char out[UUID_TEXT_SIZE]);
char *uuid_new(struct arena *a);
/* 32 hex digits without dashes: the form of Keystone's ids. */
char *uuid_hex_new(struct arena *a);
/* Dashed or plain 32 hex digits. */
bool uuid_valid(const char *s);

#endif
