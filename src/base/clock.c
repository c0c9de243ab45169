/* Time, randomness and ids, and their replacements for tests: see the header. */
#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static _Atomic bool faked;
static _Atomic int64_t fake_wall, fake_mono;
static _Atomic uint64_t fake_seed;      /* 0: real randomness */

static usec_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (usec_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

usec_t clock_wall(void)
{
    return faked ? fake_wall : read_clock(CLOCK_REALTIME);
}

usec_t clock_mono(void)
{
    return faked ? fake_mono : read_clock(CLOCK_MONOTONIC);
}

void clock_fake(usec_t wall)
{
    fake_wall = wall;
    fake_mono = SECONDS(1000);
    faked = true;
}

void clock_advance(usec_t by)
{
    fake_wall += by;
    fake_mono += by;
}

void clock_real(void)
{
    faked = false;
}

char *time_format(usec_t t, enum time_style style, char *out)
{
    time_t seconds = (time_t)(t / 1000000);
    long micros = (long)(t % 1000000);
    if (micros < 0) {
        micros += 1000000;
        seconds--;
    }
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) {
        out[0] = 0;
        return out;
    }
    if (style == TIME_HTTP) {
        (void)strftime(out, TIME_TEXT_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        return out;
    }
    size_t n = strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    if (style == TIME_ISO_MICRO_Z || style == TIME_ISO_MICRO)
        n += (size_t)snprintf(out + n, TIME_TEXT_SIZE - n, ".%06ld", micros);
    if (style == TIME_ISO_Z || style == TIME_ISO_MICRO_Z)
        (void)snprintf(out + n, TIME_TEXT_SIZE - n, "Z");
    return out;
}

/* Exactly 'digits' digits; -1 otherwise. */
static int number(const char **s, int digits)
{
    int n = 0;
    for (int i = 0; i < digits; i++, (*s)++) {
        if (!isdigit((unsigned char)**s))
            return -1;
        n = n * 10 + (**s - '0');
    }
    return n;
}

int time_parse(const char *text, usec_t *ret)
{
    const char *s = text;
    struct tm tm = { 0 };
    usec_t micros = 0;
    int zone = 0;
    int year = number(&s, 4);
    if (year < 0 || *s++ != '-')
        return -EINVAL;
    int month = number(&s, 2);
    if (month < 1 || month > 12 || *s++ != '-')
        return -EINVAL;
    int day = number(&s, 2);
    if (day < 1 || day > 31)
        return -EINVAL;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    if (*s == 'T' || *s == ' ') {
        s++;
        int hour = number(&s, 2);
        if (hour < 0 || hour > 23 || *s++ != ':')
            return -EINVAL;
        int minute = number(&s, 2);
        if (minute < 0 || minute > 59)
            return -EINVAL;
        tm.tm_hour = hour;
        tm.tm_min = minute;
        if (*s == ':') {
            s++;
            int second = number(&s, 2);
            if (second < 0 || second > 60)
                return -EINVAL;
            tm.tm_sec = second;
            if (*s == '.') {
                s++;
                usec_t unit = 100000;
                if (!isdigit((unsigned char)*s))
                    return -EINVAL;
                for (; isdigit((unsigned char)*s); s++, unit /= 10)
                    micros += (*s - '0') * unit;
            }
        }
        if (*s == 'Z') {
            s++;
        } else if (*s == '+' || *s == '-') {
            int sign = *s++ == '-' ? -1 : 1;
            int h = number(&s, 2);
            if (*s == ':')
                s++;
            int m = number(&s, 2);
            if (h < 0 || h > 23 || m < 0 || m > 59)
                return -EINVAL;
            zone = sign * (h * 3600 + m * 60);
        }
    }
    if (*s)
        return -EINVAL;
    int mday = tm.tm_mday, mon = tm.tm_mon;
    time_t seconds = timegm(&tm);
    /* timegm() makes March 2 of February 30. */
    if (tm.tm_mday != mday || tm.tm_mon != mon)
        return -EINVAL;
    *ret = ((usec_t)seconds - zone) * 1000000 + micros;
    return 0;
}

void random_bytes(void *out, size_t n)
{
    unsigned char *p = out;
    if (fake_seed) {
        for (size_t i = 0; i < n; i++) {
            uint64_t x = atomic_fetch_add(&fake_seed, 0x9e3779b97f4a7c15u) + 0x9e3779b97f4a7c15u;
            x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
            x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
            p[i] = (unsigned char)(x ^ (x >> 31));
        }
        return;
    }
    while (n) {
        ssize_t r = getrandom(p, n, 0);
        if (r < 0 && errno != EINTR)
            abort();
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        }
    }
}

void random_fake(uint64_t seed)
{
    fake_seed = seed;
}

static const char HEX[] = "0123456789abcdef";

char *uuid_text(char out[UUID_TEXT_SIZE])
{
    unsigned char b[16];
    random_bytes(b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = HEX[b[i] >> 4];
        *at++ = HEX[b[i] & 15];
    }
    *at = 0;
    return out;
}

char *uuid_new(struct arena *a)
{
    char text[UUID_TEXT_SIZE];
    return arena_strdup(a, uuid_text(text));
}

char *uuid_hex_new(struct arena *a)
{
    char text[UUID_TEXT_SIZE];
    uuid_text(text);
    char *hex = arena_alloc(a, 33);
    if (!hex)
        return NULL;
    char *at = hex;
    for (const char *s = text; *s; s++)
        if (*s != '-')
            *at++ = *s;
    return hex;
}

bool uuid_valid(const char *s)
{
    if (!s)
        return false;
    size_t n = strlen(s), digits = 0;
    if (n != 32 && n != 36)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (n == 36 && (i == 8 || i == 13 || i == 18 || i == 23)) {
            if (s[i] != '-')
                return false;
        } else if (isxdigit((unsigned char)s[i])) {
            digits++;
        } else {
            return false;
        }
    }
    return digits == 32;
}
