// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

volatile bool interrupted, terminated;

static void on_signal(int sig)
{
	if (interrupted && (sig == SIGINT || terminated)) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	terminated |= sig != SIGINT;
	interrupted = true;
}

static void catch(int sig, int flags)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags }, was;

	if (!sigaction(sig, NULL, &was) && was.sa_handler != SIG_IGN)
		sigaction(sig, &act, NULL);
}

void interrupt_catch(bool end)
{
	catch(SIGINT, end ? 0 : SA_RESTART);
	if (!end)
		return;
	catch(SIGTERM, 0);
	catch(SIGHUP, 0);
}
