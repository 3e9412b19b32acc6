# Every target installs what it needs (ci/setup does nothing when all is there).

.PHONY: demo test bench soak build base setup clean

demo: ; ci/demo
test: ; ci/test
bench: build base ; cargo xtask bench
soak: ; ci/soak
build: setup ; ci/build
base: setup ; cargo xtask base
setup: ; ci/setup
clean: ; rm -rf out target
