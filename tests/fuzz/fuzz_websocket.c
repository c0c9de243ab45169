/* The WebSocket decoder: the same bytes, at once and cut in pieces, must give the same. */
#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const uint8_t *bytes, size_t size, size_t step, struct buf *data, struct buf *out, int *code)
{
    struct websocket ws = { .frame_max = 100000 };
    int r = 0;
    for (size_t at = 0; at < size && r == 0; at += step)
        r = websocket_feed(&ws, bytes + at, MIN(step, size - at), data, out);
    *code = ws.close_code;
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 1)
        return 0;
    struct buf data[2] = { BUF_MAX(1 << 20), BUF_MAX(1 << 20) }, out[2] = { BUF_MAX(1 << 20), BUF_MAX(1 << 20) };
    int code[2], r[2];
    r[0] = feed(bytes + 1, size - 1, SIZE_MAX / 2, &data[0], &out[0], &code[0]);
    r[1] = feed(bytes + 1, size - 1, (size_t)bytes[0] % 17 + 1, &data[1], &out[1], &code[1]);
    if (r[0] != r[1] || code[0] != code[1] || data[0].len != data[1].len || out[0].len != out[1].len ||
        memcmp(buf_text(&data[0]), buf_text(&data[1]), data[0].len) != 0 ||
        memcmp(buf_text(&out[0]), buf_text(&out[1]), out[0].len) != 0)
        abort();
    for (int i = 0; i < 2; i++) {
        buf_done(&data[i]);
        buf_done(&out[i]);
    }
    return 0;
}
