/* SPDX-License-Identifier: Apache-2.0
 * The small parts of a session: frame numbers in use, HELLO's text. */
#include <criterion/criterion.h>
#include <string.h>

#include "session/hello.h"
#include "session/numbers.h"

Test(numbers, each_is_used_once) {
  struct numbers n = {.low = 1};
  cr_assert(!numbers_may_use(&n, 0));
  cr_assert(numbers_may_use(&n, 1));
  numbers_use(&n, 3);
  cr_assert_eq(n.low, 1);
  cr_assert(!numbers_may_use(&n, 3));
  numbers_use(&n, 1);
  cr_assert_eq(n.low, 2);
  numbers_use(&n, 2);
  cr_assert_eq(n.low, 4, "2 closes the gap up to 3");
  cr_assert_eq(n.used, 0);
}

Test(numbers, stay_within_64_of_the_smallest_unused) {
  struct numbers n = {.low = 10};
  cr_assert(numbers_may_use(&n, 73));
  cr_assert(!numbers_may_use(&n, 74));
  cr_assert(!numbers_may_use(&n, UINT64_MAX));
  for (uint64_t i = 73; i > 10; i--) numbers_use(&n, i);
  cr_assert_eq(n.low, 10);
  numbers_use(&n, 10);
  cr_assert_eq(n.low, 74, "all 64 at once");
  cr_assert(numbers_may_use(&n, 74));
}

Test(numbers, agree_with_a_plain_table) {
  enum { N = 500 };
  bool used[N] = {false};
  struct numbers n = {.low = 0};
  for (uint64_t i = 0; i < 20000; i++) {
    uint64_t x = braid_random_u64(7, i) % N, low = 0;
    while (low < N && used[low]) low++;
    cr_assert_eq(n.low, low);
    bool may = x >= low && x < low + 64 && !used[x];
    cr_assert_eq(numbers_may_use(&n, x), may, "number %d", (int)x);
    if (!may) continue;
    numbers_use(&n, x);
    used[x] = true;
  }
  cr_assert_eq(n.low, N, "all numbers were used in the end");
}

Test(hello, survives_its_text) {
  struct hello sent = {.version = 1, .threads = 3, .wants_profile = false}, got;
  strcpy(sent.model, "a \"quoted\" näme");
  memset(sent.hash, 'a', 64);
  char *text;
  cr_assert_eq(hello_to_json(&sent, &text), BRAID_OK, "%s", braid_error());
  cr_assert_eq(hello_from_json(text, strlen(text), &got), BRAID_OK, "%s", braid_error());
  braid_free(text);
  cr_assert_str_eq(got.model, sent.model);
  cr_assert_str_eq(got.hash, sent.hash);
  cr_assert_eq(got.threads, 3);
  cr_assert_eq(got.version, 1);
  cr_assert(!got.wants_profile);
}

Test(hello, offers_a_file) {
  struct hello sent = {.version = 4, .threads = 1, .file_bytes = UINT64_C(5000000000), .batch = 2}, got;
  strcpy(sent.model, "net");
  memset(sent.hash, 'a', 64);
  memset(sent.file_sha256, '0', 64);
  char *text;
  cr_assert_eq(hello_to_json(&sent, &text), BRAID_OK, "%s", braid_error());
  cr_assert_eq(hello_from_json(text, strlen(text), &got), BRAID_OK, "%s", braid_error());
  braid_free(text);
  cr_assert_str_eq(got.file_sha256, sent.file_sha256);
  cr_assert_eq(got.file_bytes, sent.file_bytes);
  cr_assert_eq(got.batch, 2);
}

static void expect_refused(const char *text, const char *part) {
  struct hello got;
  cr_assert_eq(hello_from_json(text, strlen(text), &got), BRAID_EPROTO, "%s", text);
  cr_assert(strstr(braid_error(), part), "'%s' does not say '%s'", braid_error(), part);
}

Test(hello, names_a_session_for_both_traces) {
  struct hello sent = {.version = 1, .threads = 3, .model = "m", .hash = "h", .trace = "0123456789abcdef"}, got;
  char *text;
  cr_assert_eq(hello_to_json(&sent, &text), BRAID_OK, "%s", braid_error());
  cr_assert_eq(hello_from_json(text, strlen(text), &got), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(got.trace, sent.trace);
  braid_free(text);
  sent.trace[0] = '\0';
  cr_assert_eq(hello_to_json(&sent, &text), BRAID_OK, "%s", braid_error());
  cr_assert_null(strstr(text, "trace"), "%s", text);
  cr_assert_eq(hello_from_json(text, strlen(text), &got), BRAID_OK, "%s", braid_error());
  cr_assert_str_eq(got.trace, "");
  braid_free(text);
}

Test(hello, says_what_is_wrong) {
  expect_refused("", "0 bytes");
  expect_refused("nonsense", "not JSON");
  expect_refused("[]", "not a JSON object");
#define OFFER(hash, file) "{\"version\":4,\"model\":\"m\",\"hash\":\"" hash "\",\"threads\":1,\"batch\":1," file "}"
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  expect_refused(OFFER("h", "\"file_bytes\":5,\"file_sha256\":\"" HASH "\""), "\"hash\" is 64 digits");
  expect_refused(OFFER(HASH, "\"file_bytes\":0,\"file_sha256\":\"" HASH "\""), "\"file_bytes\" is 0");
  expect_refused(OFFER(HASH, "\"file_bytes\":\"5\""), "a number \"file_bytes\"");
  expect_refused(OFFER(HASH, "\"file_bytes\":5"), "without \"file_sha256\"");
  expect_refused(OFFER(HASH, "\"file_bytes\":5,\"file_sha256\":\"../../../etc/passwd\""), "\"file_sha256\" is not 64");
  expect_refused(OFFER(HASH, "\"file_bytes\":5,\"file_sha256\":\"" HASH "0\""), "has 65 bytes");
  expect_refused("{\"model\":\"m\",\"hash\":\"h\",\"threads\":1}", "\"version\"");
  expect_refused("{\"version\":1,\"hash\":\"h\",\"threads\":1}", "\"model\"");
  expect_refused("{\"version\":1,\"model\":\"\",\"hash\":\"h\",\"threads\":1}", "\"model\" has 0 bytes");
  expect_refused("{\"version\":1,\"model\":\"m\",\"model\":\"n\",\"hash\":\"h\",\"threads\":1}", "duplicate");
  expect_refused("{\"version\":1,\"model\":\"m\",\"hash\":7,\"threads\":1}", "\"hash\"");
  expect_refused("{\"version\":1,\"model\":\"m\",\"hash\":\"h\",\"threads\":0}", "\"threads\" is 0");
  expect_refused("{\"version\":1,\"model\":\"m\",\"hash\":\"h\",\"threads\":1e99}", "\"threads\"");
}

Test(hello, refuses_names_that_cannot_be_sent) {
  struct hello hello = {.version = 1, .threads = 1, .model = "\xff\xfe", .hash = "h"};
  char *text = NULL;
  cr_assert_eq(hello_to_json(&hello, &text), BRAID_EINVAL);
  cr_assert_null(text);
}
