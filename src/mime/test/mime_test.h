/* What the tests of this room share. Included after cmocka.h. */
#ifndef MIME_TEST_MIME_TEST_H
#define MIME_TEST_MIME_TEST_H

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline void check_slice(struct slice got, const char *expected, const char *of)
{
    if (!slice_eq(got, slice_str(expected)))
        fail_msg("%s: \"" SLICE_FMT "\" instead of \"%s\"", of, SLICE_ARG(got), expected);
}

#endif
