// System calls and kernel structures that Swift cannot import, and the few places where Swift must not run.
#pragma once
