/* Faults and traced failures: see the header. */
#include "base/error.h"
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

LOG_MODULE("error");

int fault_set(struct fault *f, int status, const char *type, const char *format, ...)
{
    f->status = status;
    (void)snprintf(f->type, sizeof(f->type), "%s", type ? type : "");
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(f->message, sizeof(f->message), format, ap);
    va_end(ap);
    return FAULT;
}

int error_trace_at(int r, const char *file, int line)
{
    log_debug("failure", KV("error", strerror(-r)), KV("file", file), KV("line", line));
    return r;
}
