/*
 * The log: fields, not prose.
 *
 *     LOG_MODULE("compute.scheduler");
 *     log_warning("no host fits", KV("server", s->id), KV("asked", n));
 *
 * Text on a terminal, one JSON object a line otherwise. The id of the request under way is
 * added by the logger. Levels change per module at run time. Libraries log nothing above
 * debug: the caller knows whether it matters. Nothing secret is ever logged.
 */
#ifndef YUNDUO_BASE_LOG_H
#define YUNDUO_BASE_LOG_H

#include "base/clock.h"

#include <stdatomic.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log_module {
    const char *name;
    _Atomic int level;              /* -1: as the whole log */
    struct log_module *next;
};

struct log_kv {
    const char *key;
    const char *text;               /* null: use 'number' */
    long long number;
};

#define LOG_MODULE(module_name) \
    static struct log_module log_module_ = { .name = (module_name), .level = -1 }; \
    __attribute__((constructor)) static void log_module_register_(void) { log_register(&log_module_); } \
    struct log_module

static inline struct log_kv log_kv_text(const char *key, const char *text)
{
    return (struct log_kv){ key, text ? text : "-", 0 };
}
static inline struct log_kv log_kv_number(const char *key, long long number)
{
    return (struct log_kv){ key, NULL, number };
}
#define KV(key, value) _Generic((value), \
    char *: log_kv_text, const char *: log_kv_text, default: log_kv_number)((key), (value))

#define log_at(level, message, ...) \
    do { \
        if (log_wanted(&log_module_, (level))) { \
            const struct log_kv kv_[] = { { 0 }, ##__VA_ARGS__ }; \
            log_write(&log_module_, (level), (message), kv_ + 1, ARRAY_SIZE(kv_) - 1); \
        } \
    } while (0)

#define log_error(message, ...) log_at(LOG_LEVEL_ERROR, message, ##__VA_ARGS__)
#define log_warning(message, ...) log_at(LOG_LEVEL_WARNING, message, ##__VA_ARGS__)
#define log_info(message, ...) log_at(LOG_LEVEL_INFO, message, ##__VA_ARGS__)
#define log_debug(message, ...) log_at(LOG_LEVEL_DEBUG, message, ##__VA_ARGS__)

/* At most 'burst' lines in each 'interval'. */
struct ratelimit {
    int burst;
    usec_t interval;
    _Atomic int64_t window_start;
    _Atomic int count;
};
#define RATELIMIT(n, us) { .burst = (n), .interval = (us) }
bool ratelimit_pass(struct ratelimit *r);
#define log_warning_limited(limit, message, ...) \
    do { if (ratelimit_pass(limit)) log_warning(message, ##__VA_ARGS__); } while (0)

void log_register(struct log_module *m);
bool log_wanted(const struct log_module *m, enum log_level level);
void log_write(const struct log_module *m, enum log_level level, const char *message,
               const struct log_kv *kv, size_t n);

enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
void log_setup(enum log_level level, enum log_format format);
/* "info" or "info,store=debug,http.access=warning". -EINVAL: a word is not a level. */
int log_set_levels(const char *levels);
/* The request id of this thread's lines; null for none. The text must outlive its use. */
void log_set_request_id(const char *id);
const char *log_request_id(void);
/* Tests: how many lines at warning or above were written since the last call. */
unsigned log_take_warnings(void);

#endif
