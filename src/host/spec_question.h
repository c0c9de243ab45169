/*
 * Questions to a host that need an answer now: what a guest wrote to its console, how it fares.
 *
 * They are the one thing that is no state: a question stands in the desired state while somebody
 * waits for it, is answered in the report by its id, and is forgotten. Asked twice it is answered
 * twice.
 */
#ifndef YUNDUO_HOST_SPEC_QUESTION_H
#define YUNDUO_HOST_SPEC_QUESTION_H

#include "base/field.h"

#define QUESTION_LOG "console-log"
#define QUESTION_DIAGNOSTICS "diagnostics"

struct host_question {
    const char *id;
    const char *server_id;
    const char *what;               /* QUESTION_* */
    int64_t bytes;                  /* of the log, from its end */
};

struct guest_cpu { int64_t id, time_ns, utilisation; };
struct guest_disk { const char *device; int64_t read_bytes, read_requests, write_bytes, write_requests, errors; };
struct guest_nic {
    const char *mac, *tap;
    int64_t rx_bytes, rx_packets, rx_drop, rx_errors, tx_bytes, tx_packets, tx_drop, tx_errors;
};
struct guest_diagnostics {
    const char *state;              /* POWER_* */
    int64_t uptime;                 /* seconds; INT_NULL: unknown */
    int64_t memory_max_kb, memory_used_kb;
    VEC_OF(struct guest_cpu) cpus;
    VEC_OF(struct guest_disk) disks;
    VEC_OF(struct guest_nic) nics;
};

struct host_answer {
    const char *id;
    int64_t status;                 /* 0: answered; else like an HTTP status */
    const char *message;            /* why not */
    const char *text;
    struct guest_diagnostics *diagnostics;
};

extern const struct schema HOST_QUESTION_SCHEMA;
extern const struct schema HOST_ANSWER_SCHEMA;
extern const struct schema GUEST_DIAGNOSTICS_SCHEMA;

#endif
