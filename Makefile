PYTHON = .venv/bin/python
PYTEST = $(PYTHON) -m pytest
CHECKED = sccachedist twisted tests farmkit demo bench fuzz scripts setup.py contrib/containers/healthcheck.py

.PHONY: bench commands demo test coverage unit functional compat filters programs fuzz lint lock doc release deb clean faults rotations shares soak test-lowest test-packages test-pythons

# Compiles three small projects on a farm of one machine. KEEP=1 keeps the farm until Ctrl-C.
demo:
	scripts/setup.sh demo
	$(PYTHON) -m demo $(if $(KEEP),--keep)

# Everything; the tests of one file stay together, for they share a farm, and two files run side by side. With three, what
# daemons have to do within a time is late on two cores now and then. Long files of few tests do not come last, where nothing
# would run beside them.
SIDE_BY_SIDE = --numprocesses 2 --dist loadfile --no-loadscope-reorder

# The tests of what decides, and of all that travels: no line and no branch of it without a test. pyproject.toml has the
# modules.
COVERING = \
	$(addprefix tests/scheduler/test_,$(addsuffix .py,attempts attention browsers core departures events farm_actions)) \
	$(addprefix tests/scheduler/test_,$(addsuffix .py,farm_changes farm_documents farm_hosts farm_orders farm_routes feed fetched_toolchains fleet)) \
	$(addprefix tests/scheduler/test_,$(addsuffix .py,history home_rates job_ids job_records jobs last_heartbeats latest leases notices)) \
	$(addprefix tests/scheduler/test_,$(addsuffix .py,out_of_service placement pools popularity offers presumed queue queue_kinds queue_shares quotas ranking refusals roles)) \
	$(addprefix tests/scheduler/test_,$(addsuffix .py,reloaded_secrets sealed_heartbeats server_counts sessions shares sight snapshot speeds stored standings tenure weighted_turns window)) \
	$(addprefix tests/server/test_,$(addsuffix .py,fitness idle_cpus introduced_jobs job_course jobs killed_jobs memory_room offers places spare spent_tokens)) tests/toolchains/test_lru.py \
	tests/builders/test_machines.py tests/scheduler/test_scouts.py \
	$(addprefix tests/sandbox/test_,$(addsuffix .py,beneath elf failure_policy outcome sparse tar)) \
	$(addprefix tests/records/test_,$(addsuffix .py,record report ring selection speed tally trace usage)) \
	$(addprefix tests/metrics/test_,$(addsuffix .py,histogram series)) \
	$(addprefix tests/monitor/test_,$(addsuffix .py,conversation messages picture)) tests/scheduler/test_monitor_events.py \
	$(addprefix tests/cluster/test_,$(addsuffix .py,agreement election election_walk hop roll)) tests/cli/test_doctor_schedulers.py tests/cli/test_way.py \
	tests/web/test_deadlines.py tests/web/test_event_stream.py tests/test_bounded.py tests/test_budgets.py tests/test_outcomes.py \
	$(addprefix tests/gateway/test_,$(addsuffix .py,believed dispatch dispatch_walk)) tests/auth/test_workers.py \
	tests/auth/test_roster.py tests/objects/test_refusals.py tests/scheduler/test_client_routes.py \
	tests/wire tests/test_config_changes.py tests/test_config_example.py \
	tests/worker/test_slots.py tests/auth/test_succession.py tests/cli/clients tests/cli/farm tests/cli/top tests/client

# These first, for they take two minutes; then all others.
test: coverage
	$(PYTEST) -m "not packages" $(SIDE_BY_SIDE) $(addprefix --ignore=,$(COVERING))

coverage:
	scripts/setup.sh dev
	$(PYTEST) --cov --quiet $(SIDE_BY_SIDE) $(COVERING)

unit:
	scripts/setup.sh unit
	$(PYTEST) -m "not functional"

# The unit tests on the lowest versions that setup.py allows, and on each CPython from 3.11 that this machine has.
test-lowest:
	scripts/setup.sh unit
	scripts/test-elsewhere.sh lowest

test-pythons:
	scripts/setup.sh unit
	scripts/test-elsewhere.sh pythons

functional:
	scripts/setup.sh dev
	$(PYTEST) -m "functional and not packages" $(SIDE_BY_SIDE)

# What administrators install, as the pages say, from nothing to a remote compile. For root. The tests of a file stay together,
# for they share an engine with its images, or packages; the rest runs beside them.
test-packages:
	scripts/setup.sh dev
	$(PYTEST) -m packages $(SIDE_BY_SIDE) tests/packages

# Every published release in every role; writes the table of doc/compatibility.rst.
compat:
	scripts/setup.sh dev
	$(PYTHON) -m tests.compat

# Ours and the published daemons side by side; writes what doc/performance.rst shows. QUICK=1 takes two minutes,
# writes to bench/_build instead, and fails when a number is worse than its bar by half. CASES="job-latency ..." for some.
bench:
	scripts/setup.sh dev
	$(PYTHON) -m bench $(if $(QUICK),--quick --check --into bench/_build) $(CASES)

# Makes up what strangers might send: SECONDS for each target, or for TARGET alone. What is worth keeping goes to fuzz/corpus.
SECONDS = 60
TARGET = codec run_job unpacker http sequences configuration gateway stored

fuzz:
	scripts/setup.sh fuzz
	for target in $(TARGET); do \
		$(PYTHON) -m fuzz $$target $(SECONDS) && $(PYTHON) -m fuzz.sift $$target || exit 1; \
	done

# Daemons that are killed, stopped, ended and cut off in the middle of builds: doc/faults.rst. Root only. Most of it is
# waiting, in networks of its own: two portions run side by side, three with QUICK=1. The first build of each setup is in
# the suite.
FAULTS = $(if $(QUICK),\
	ours/2-4 ours/5-7 two_schedulers/2-4 gateway/2-4 published_scheduler/2-3 published_server/2-3,\
	ours/2-15 ours/16-30 two_schedulers/2-15 two_schedulers/16-30 gateway/2-15 gateway/16-30\
	published_scheduler/2-5 published_server/2-5)

faults:
	scripts/setup.sh dev
	$(MAKE) --jobs $(if $(QUICK),3,2) --keep-going $(addprefix faults/,$(FAULTS))

faults/%:
	$(PYTHON) -m tests.faults --setup $(*D) --seeds $(*F)

# Which shares of a full farm real clients get: by weight, and with one token. A machine that has nothing else to do.
shares:
	scripts/setup.sh dev
	$(PYTEST) tests/functional/fair_shares.py

# The rotations of secrets, each step of them beside fifty files: a rotation has some two hundred.
rotations: export SCCACHEDIST_ROTATION_FILES = 50
rotations:
	scripts/setup.sh dev
	$(PYTEST) tests/functional/test_rotation.py

# Two hours of mixed load, after which nothing may have grown; make soak SECONDS=300 for less.
soak: SECONDS = 7200
soak:
	scripts/setup.sh dev
	$(PYTHON) -m tests.soak --seconds $(SECONDS)

# The seccomp filters that the package ships.
filters:
	scripts/setup.sh dev
	$(PYTHON) -m scripts.seccomp_filters

# The programs in C that it ships for sandboxes.
programs:
	scripts/setup.sh dev
	$(PYTHON) -m scripts.sandbox_programs

# What shells complete the command with, and the man pages, from its arguments and the keys of the files; example
# configurations.
commands:
	scripts/setup.sh unit
	$(PYTHON) -m scripts.command_files
	$(PYTHON) -m scripts.openapi

lint:
	scripts/setup.sh unit
	$(PYTHON) -m ruff format --check $(CHECKED)
	$(PYTHON) -m ruff check $(CHECKED)
	$(PYTHON) -m mypy

# The exact versions of what the suite runs with; scripts/setup.sh installs these.
lock:
	$(PYTHON) -m pip freeze --exclude-editable > requirements.lock

doc:
	scripts/setup.sh unit
	$(PYTHON) -m sphinx -W --keep-going -b html doc doc/_build
	$(PYTHON) -m sphinx -q -b linkcheck doc doc/_build/links

# What an index is given of the tag that is checked out, into dist: doc/developing.rst has the steps before it. HOME_URL is
# where the project is at home: links of the README lead there.
release:
	scripts/setup.sh dev
	$(PYTHON) -m scripts.release build $(if $(HOME_URL),--home $(HOME_URL))

# A package for the release of Debian or Ubuntu that this machine has, into dist. EXTRAS=... are the extras that are in it.
deb:
	contrib/debian/build.sh dist

clean:
	rm -rf .venv .venv-* build dist doc/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache _trial_temp
	rm -rf *.egg-info twisted/plugins/dropin.cache
	find . -name __pycache__ -type d -exec rm -rf {} +
