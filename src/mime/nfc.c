/* Unicode normalization form C: the same letter is the same bytes, whoever wrote it. UAX #15,
 * Unicode section 3.11. Not here: compatibility forms, which change what people wrote. */
#include "mime/mime_int.h"

enum {
    FIRST_ODD = 0x300, /* below there is nothing to do */
    RUN_MAX = 64,      /* a letter and its marks; longer runs are passed on as they are */
    SPLIT_MAX = 4,     /* characters that one is taken apart into, at most */
    S_BASE = 0xac00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11a7,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28,
    N_COUNT = V_COUNT * T_COUNT,
    S_COUNT = L_COUNT * N_COUNT
};

static const struct {
    uint32_t first, last;
    uint8_t class;
} CLASSES[] = {
#define NFC_CLASS(first, last, class) {first, last, class},
#include "mime/nfc.def"
#undef NFC_CLASS
};

static const struct split {
    uint32_t whole, first, second;
} SPLITS[] = {
#define NFC_SPLIT(whole, first, second) {whole, first, second},
#include "mime/nfc.def"
#undef NFC_SPLIT
};

static const struct {
    uint32_t second, first, whole;
} PAIRS[] = {
#define NFC_PAIR(second, first, whole) {second, first, whole},
#include "mime/nfc.def"
#undef NFC_PAIR
};
enum {
    N_CLASSES = sizeof(CLASSES) / sizeof(CLASSES[0]),
    N_SPLITS = sizeof(SPLITS) / sizeof(SPLITS[0]),
    N_PAIRS = sizeof(PAIRS) / sizeof(PAIRS[0])
};

struct run {
    struct {
        uint32_t code;
        uint8_t class;
    } v[RUN_MAX + SPLIT_MAX];
    size_t n;
};

static uint8_t class_of(uint32_t code)
{
    size_t low = 0, high = N_CLASSES;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (code > CLASSES[mid].last)
            low = mid + 1;
        else
            high = mid;
    }
    bool is_in = low < N_CLASSES && code >= CLASSES[low].first;
    return is_in ? CLASSES[low].class : 0;
}

static const struct split *split_of(uint32_t code)
{
    size_t low = 0, high = N_SPLITS;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (code > SPLITS[mid].whole)
            low = mid + 1;
        else
            high = mid;
    }
    return low < N_SPLITS && SPLITS[low].whole == code ? &SPLITS[low] : NULL;
}

/* The first pair that is not before this one. */
static size_t find_pair(uint32_t second, uint32_t first)
{
    size_t low = 0, high = N_PAIRS;
    while (low < high) {
        size_t mid = (low + high) / 2;
        bool is_before =
            PAIRS[mid].second != second ? PAIRS[mid].second < second : PAIRS[mid].first < first;
        low = is_before ? mid + 1 : low;
        high = is_before ? high : mid;
    }
    return low;
}

/* 0: the two do not make one. */
static uint32_t join(uint32_t a, uint32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    bool is_open = a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0;
    if (is_open && b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    size_t i = find_pair(b, a);
    return i < N_PAIRS && PAIRS[i].second == b && PAIRS[i].first == a ? PAIRS[i].whole : 0;
}

/* Behind what has no larger class, where it belongs among the marks. */
static void insert(struct run *r, uint32_t code)
{
    uint8_t class = class_of(code);
    size_t at = r->n++;
    for (; class && at > 0 && r->v[at - 1].class > class; at--)
        r->v[at] = r->v[at - 1];
    r->v[at].code = code;
    r->v[at].class = class;
}

static void take_apart(struct run *r, uint32_t code)
{
    const struct split *s = split_of(code);
    if (code >= S_BASE && code < S_BASE + S_COUNT) {
        uint32_t i = code - S_BASE;
        insert(r, L_BASE + i / N_COUNT);
        insert(r, V_BASE + i % N_COUNT / T_COUNT);
        if (i % T_COUNT)
            insert(r, T_BASE + i % T_COUNT);
    } else if (s) {
        take_apart(r, s->first); /* at most SPLIT_MAX in all */
        if (s->second)
            insert(r, s->second);
    } else {
        insert(r, code);
    }
}

/* Marks join their letter unless one of the same or a larger class stands between. */
static void put_together(struct run *r)
{
    size_t starter = 0, n = 0;
    int last = -1; /* class of what was kept behind the starter; -1: nothing */
    for (size_t i = 0; i < r->n; i++) {
        uint8_t class = r->v[i].class;
        bool has_starter = n > 0 && r->v[starter].class == 0;
        bool is_near = last < 0 || (last < class && last > 0);
        uint32_t whole = has_starter && is_near ? join(r->v[starter].code, r->v[i].code) : 0;
        if (whole) {
            r->v[starter].code = whole;
            continue;
        }
        if (class == 0) {
            starter = n;
            last = -1;
        } else {
            last = class;
        }
        r->v[n++] = r->v[i];
    }
    r->n = n;
}

static uint32_t code_of(const char *p, size_t n)
{
    uint32_t code = (unsigned char)p[0];
    if (n > 1)
        code &= 0x7fu >> n;
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)p[i] & 0x3f);
    return code;
}

static void flush(struct run *r, struct buf *ret)
{
    put_together(r);
    for (size_t i = 0; i < r->n; i++)
        utf8_encode(r->v[i].code, ret);
    r->n = 0;
}

/* Can this character join what stands before it? Only then a run goes on. */
static bool may_follow(uint32_t code)
{
    if (code < FIRST_ODD)
        return false;
    bool is_hangul =
        (code >= V_BASE && code < V_BASE + V_COUNT) || (code > T_BASE && code < T_BASE + T_COUNT);
    const struct split *s = split_of(code); /* three of Tibet begin with a mark, taken apart */
    if (is_hangul || class_of(code) || (s && class_of(s->first)))
        return true;
    size_t i = find_pair(code, 0); /* a few signs of South Asia that are no marks */
    return i < N_PAIRS && PAIRS[i].second == code;
}

void mime_utf8_compose(struct slice s, struct buf *ret)
{
    struct run r = {.n = 0};
    size_t n;
    for (size_t at = 0; at < s.n; at += n) {
        n = utf8_char(slice_skip(s, at));
        must(n > 0); /* the caller promised UTF-8 */
        uint32_t code = code_of(s.p + at, n);
        if (r.n >= RUN_MAX || !may_follow(code))
            flush(&r, ret);
        take_apart(&r, code);
    }
    flush(&r, ret);
}

bool mime_utf8_is_composed(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0xcc)
            return false;
    return true;
}
