/* SPDX-License-Identifier: Apache-2.0
 * The session suite: one set of cases, run over every kind of link ("inproc", "tcp"). */
#ifndef TESTS_RUNTIME_SESSION_SUITE_H
#define TESTS_RUNTIME_SESSION_SUITE_H

void session_suite_answers(const char *scheme, int nets);
void session_suite_failures(const char *scheme);
void session_suite_hostile(const char *scheme);

#endif
