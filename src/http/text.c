/* Text helpers of the protocol: percent encoding, ranges, reasons. */
#include "http/http.h"

#include <ctype.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool url_decode(char *s, bool plus_is_space)
{
    char *out = s;
    for (; *s; s++) {
        if (*s == '+' && plus_is_space) {
            *out++ = ' ';
        } else if (*s == '%') {
            int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
            if (low < 0 || (high == 0 && low == 0))
                return false;
            *out++ = (char)(high << 4 | low);
            s += 2;
        } else {
            *out++ = *s;
        }
    }
    *out = 0;
    return true;
}

void url_encode(struct buf *out, const char *s, const char *safe)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (safe && strchr(safe, c));
        if (plain) {
            buf_addc(out, (char)c);
        } else {
            char escape[3] = { '%', DIGITS[c >> 4], DIGITS[c & 15] };
            buf_add(out, escape, sizeof(escape));
        }
    }
}

/* Digits at *s, which moves behind them. False: none, or beyond 64 bits. */
static bool digits(const char **s, uint64_t *ret)
{
    uint64_t n = 0;
    if (!isdigit((unsigned char)**s))
        return false;
    for (; isdigit((unsigned char)**s); (*s)++)
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(**s - '0'), &n))
            return false;
    *ret = n;
    return true;
}

int http_range(const char *header, uint64_t size, uint64_t *ret_first, uint64_t *ret_length)
{
    enum { WHOLE = 2 };
    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return WHOLE;
    const char *s = header + 6;
    uint64_t first, last;
    while (*s == ' ')
        s++;
    if (*s == '-') {
        /* the last n bytes */
        s++;
        if (!digits(&s, &last) || *s)
            return WHOLE;
        if (last == 0 || size == 0)
            return FAULT;
        *ret_length = MIN(last, size);
        *ret_first = size - *ret_length;
        return 0;
    }
    if (!digits(&s, &first) || *s++ != '-')
        return WHOLE;
    last = UINT64_MAX;
    if (*s && !digits(&s, &last))
        return WHOLE;
    while (*s == ' ')
        s++;
    /* Several ranges would be an answer in parts; ignoring the header is allowed. */
    if (*s || last < first)
        return WHOLE;
    if (first >= size)
        return FAULT;
    *ret_first = first;
    *ret_length = MIN(last, size - 1) - first + 1;
    return 0;
}

const char *http_reason(int status)
{
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Request Entity Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Requested Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Entity";
    case 423: return "Locked";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 498: return "Invalid Token";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    default: return "Unknown";
    }
}
