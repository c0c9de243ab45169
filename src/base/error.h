/*
 * Two kinds of failure, never mixed.
 *
 * Negative (an errno): something broke. It is passed up unchanged, nobody matches on it,
 * the top logs it once and the client gets a 500 with the request id.
 * Positive: an outcome that the function documents and its caller must handle. What a
 * tenant must hear becomes a fault, filled in where the reason is known; the function
 * then returns FAULT.
 */
#ifndef YUNDUO_BASE_ERROR_H
#define YUNDUO_BASE_ERROR_H

#include "base/macro.h"

enum { FAULT = 1 };

/* What a client is told: the HTTP status, the service's name for the error (such as
 * "NetworkNotFound"; each service renders it its own way) and the sentence. */
struct fault {
    int status;
    char type[64];
    char message[1024];
};

/* Fills 'f' and returns FAULT, so that callers can write: return fault_set(...).
 * A message too long is cut. */
int fault_set(struct fault *f, int status, const char *type, const char *format, ...) _printf_(4, 5);

/* Notes file and line of a failure on its way up (at debug level) and returns it
 * unchanged. Free of cost for 0 and positive values. */
#define error_trace(r) ({ int r_ = (r); r_ < 0 ? error_trace_at(r_, __FILE__, __LINE__) : r_; })
int error_trace_at(int r, const char *file, int line);

#endif
