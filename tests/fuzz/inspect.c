/*
 * Fuzz target: the inspector of image bytes. The first byte chooses the size of the pieces;
 * whole and in pieces must agree.
 */
#include "image/inspect.h"

#include "base/macro.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fed(const uint8_t *data, size_t n, size_t piece, struct inspect_result *ret)
{
    _cleanup_(inspect_freep) struct inspect *i = inspect_new();
    if (!i)
        abort();
    for (size_t off = 0; off < n; off += piece)
        inspect_feed(i, data + off, MIN(piece, n - off));
    if (inspect_finish(i, ret) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct inspect_result whole, pieces;
    fed(data + 1, size - 1, size, &whole);
    fed(data + 1, size - 1, (size_t)data[0] * 3 + 1, &pieces);
    if (whole.found != pieces.found || whole.safe != pieces.safe ||
        strcmp(whole.reason, pieces.reason) != 0 || whole.virtual_size != pieces.virtual_size ||
        whole.disk_size != pieces.disk_size)
        abort();
    struct fault fault;
    (void)inspect_check(&whole, "qcow2", "bare", true, &fault);
    return 0;
}
