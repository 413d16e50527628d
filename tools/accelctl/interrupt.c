// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* How long a look at signals may wait for input. */
#define LOOK_MS 100

volatile bool interrupted;
volatile int terminated;

static void on_signal(int sig)
{
	if (interrupted && (sig == SIGINT || terminated)) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	if (sig != SIGINT)
		terminated = sig;
	interrupted = true;
}

static void catch(int sig)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, was;

	if (!sigaction(sig, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(sig, &act, NULL);
}

void interrupt_catch(bool end)
{
	catch(SIGINT);
	if (!end)
		return;
	catch(SIGTERM);
	catch(SIGHUP);
}

bool interrupt_or_input(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };

	return poll(&in, 1, LOOK_MS) > 0;
}

void interrupt_end(void)
{
	int sig = terminated ? terminated : SIGINT;

	signal(sig, SIG_DFL);
	raise(sig);
}
