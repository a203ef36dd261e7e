#!/usr/bin/env bats
# Pins in Git: the real git, with data mounted and not.

# shellcheck disable=SC2154 # run sets them
load helpers

setup () {
	dm_setup
	need_fuse
	two_versions
	git init -q proj
	cd proj || return 1
}

# What the mount shows, by the file that differs: 1 or 2.
shown () {
	sed 's/a,//' "${1:-data}/a.csv"
}

# A project whose first commit pins v1 and whose second pins v2; mounted at
# the second.
two_commits () {
	datamount -q "$REPO@v1" data
	git commit -qm one
	git tag one
	datamount -q update data v2
	git commit -qam two
	git tag two
}

same_as_published () {
	diff -r "$T/src" data
}

@test "a first mount is tracked and its data ignored, in one line" {
	run --separate-stderr datamount "$REPO@v1" ./data
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	[ "$(grep -c Git <<<"$stderr")" -eq 1 ]
	[ "$(git diff --cached --name-only | tr '\n' ' ')" = \
		'.gitignore data.source ' ]
	[ "$(cat .gitignore)" = /data/ ]
	git commit -qm one
	[ -z "$(git status --porcelain)" ]
	[ "$(git ls-files | tr '\n' ' ')" = '.gitignore data.source ' ]
}

@test "a .gitignore with other changes is not staged" {
	echo '*.o' >.gitignore
	git add .gitignore
	git commit -qm zero
	echo '*.a' >>.gitignore
	datamount "$REPO@v1" data 2>said
	grep -q 'commit it yourself' said
	[ "$(git diff --cached --name-only)" = data.source ]
	[ "$(cat .gitignore)" = "$(printf '*.o\n*.a\n/data/')" ]
}

@test "--no-git leaves Git alone" {
	datamount -q --no-git "$REPO@v1" data
	[ ! -e .gitignore ]
	[ -z "$(git diff --cached --name-only)" ]
	[ -e data.source ]
}

@test "--no-source writes no pin, and Git ignores the data still" {
	datamount -q --no-source "$REPO@v1" data
	[ ! -e data.source ]
	[ "$(shown)" = 1 ]
	[ "$(git diff --cached --name-only)" = .gitignore ]
}

@test "outside of a work tree there is a pin and no .gitignore" {
	mkdir ../plain
	cd ../plain
	datamount "$REPO@v1" data 2>said
	[ -e data.source ]
	[ ! -e .gitignore ]
	! grep Git said || false
}

@test "git commit -a takes a later pin, which is left unstaged" {
	datamount -q "$REPO@v1" data
	git commit -qm one
	datamount update data v2 2>said
	grep -q "data.source: ${V1:0:12} -> ${V2:0:12}: +1 files" said
	[ -z "$(git diff --cached --name-only)" ]
	[ "$(git diff --name-only)" = data.source ]
	git diff | grep -q "^+commit = $V2"
	[ "$(shown)" = 2 ]
	git commit -qam two
	git show --stat | grep -q 'data.source'
}

@test "a clone mounts the same bytes" {
	two_commits
	git clone -q . ../clone
	cd ../clone
	datamount ./data
	same_as_published
	[ -z "$(git status --porcelain)" ]
}

@test "an older commit that is checked out mounts the older data" {
	two_commits
	datamount umount data
	git checkout -q one
	datamount -q ./data
	[ "$(shown)" = 1 ]
	datamount umount data
	git checkout -q two
	datamount -q ./data
	same_as_published
}

@test "checkout works while mounted, and sync follows it" {
	two_commits
	git checkout -q one
	[ "$(shown)" = 2 ]
	run datamount status --check data
	[ "$status" -eq 1 ]
	datamount sync 2>said
	grep -q "${V2:0:12} -> ${V1:0:12}" said
	[ "$(shown)" = 1 ]
	datamount status --check data
	git checkout -q two
	(cd / && datamount sync "$T/proj/data")
	same_as_published
	[ -z "$(datamount sync 2>&1)" ]
}

@test "pull works while mounted, and sync follows it" {
	two_commits
	git init -q --bare ../hub
	git remote add origin ../hub
	git push -q origin HEAD:main
	git clone -q ../hub ../clone
	printf 'a,3\n' >"$T/src/a.csv"
	datamount commit -q "$T/src" "$REPO" -m three
	datamount -q update data main
	git commit -qam three
	git push -q origin HEAD:main
	cd ../clone
	datamount -q ./data
	[ "$(shown)" = 2 ]
	git pull -q
	[ "$(shown)" = 2 ]
	datamount -q sync
	[ "$(shown)" = 3 ]
}

@test "reset --hard works while mounted, and sync follows it" {
	two_commits
	git reset -q --hard one
	is_mounted data
	datamount -q sync
	[ "$(shown)" = 1 ]
	[ -z "$(git status --porcelain)" ]
}

@test "stash takes an uncommitted pin away and brings it back" {
	datamount -q "$REPO@v1" data
	git commit -qm one
	datamount -q update data v2
	git stash -q
	datamount -q sync
	[ "$(shown)" = 1 ]
	git stash pop -q
	datamount -q sync
	[ "$(shown)" = 2 ]
}

@test "stash works before the first commit of a pin" {
	git commit -q --allow-empty -m zero
	datamount -q "$REPO@v1" data
	git stash -q
	[ ! -e data.source ]
	[ "$(shown)" = 1 ]
	fails 1 'data\.source is gone' datamount -q sync
	git stash pop -q
	datamount -q sync
	datamount status --check data
}

@test "sync of a machine so busy that it asks late is heard" {
	datamount -q "$REPO@v1" data
	rm data.source
	run --separate-stderr traced -f -o trace -e trace=sendto \
		-e inject=sendto:delay_enter=1500000:when=1 datamount -q sync
	[ "$status" -eq 1 ]
	[[ $stderr == *'data.source is gone'* ]]
	grep -q DELAYED trace
}

@test "a merge that conflicts in a pin is refused by its line" {
	datamount -q "$REPO@v1" data
	git commit -qm one
	git checkout -qb other
	datamount -q update data v2
	git commit -qam two
	git checkout -q main
	datamount -q sync
	printf 'a,3\n' >"$T/src/a.csv"
	V3=$(datamount commit -q "$T/src" "$REPO" -m three)
	datamount -q update data main
	git commit -qam three
	run git merge -q other
	[ "$status" -ne 0 ]
	line=$(grep -n '^<<<<<<<' data.source | cut -d: -f1)
	fails 1 "data\.source: line $line: a merge left a conflict" \
		datamount -q sync
	[ "$(shown)" = 3 ]
	datamount umount data
	fails 1 "data\.source: line $line: a merge left a conflict" \
		datamount ./data
	[ -z "$(dm_mounts)" ]
	git checkout -q --theirs data.source
	git commit -qam merged
	datamount -q ./data
	[ "$(shown)" = 2 ]
}

@test "worktrees have mounts of their own" {
	two_commits
	git worktree add -q ../older one
	cd ../older
	datamount -q ./data
	[ "$(shown)" = 1 ]
	[ "$(shown ../proj/data)" = 2 ]
	[ -z "$(git status --porcelain)" ]
	git checkout -q --detach two
	datamount -q sync
	[ "$(shown)" = 2 ]
}

@test "sync leaves the mounts of other work trees alone" {
	two_commits
	git clone -q . ../clone
	git checkout -q one
	(cd ../clone && datamount -q ./data && datamount -q sync)
	[ "$(shown)" = 2 ]
	[ "$(shown ../clone/data)" = 2 ]
	datamount -q sync
	[ "$(shown)" = 1 ]
	[ "$(shown ../clone/data)" = 2 ]
}

@test "a submodule pins for itself" {
	two_commits
	git init -q ../outer
	cd ../outer
	git submodule --quiet add ../proj sub
	git commit -qm sub
	cd sub
	datamount -q ./data
	same_as_published
	[ -z "$(git status --porcelain)" ]
	git checkout -q one
	datamount -q sync
	[ "$(shown)" = 1 ]
	[ "$(git -C .. status --porcelain)" = ' M sub' ]
	cd "$T"
	datamount -q "$REPO@v1" outer/sub/more
	[ -z "$(git -C outer ls-files sub/more.source)" ]
	[ "$(git -C outer/sub ls-files more.source)" = more.source ]
}

@test "clean -fdx does not touch what is mounted" {
	two_commits
	touch rubbish
	run git clean -q -fdx
	[ ! -e rubbish ]
	is_mounted data
	same_as_published
	[ -z "$(git status --porcelain)" ]
}

@test "after clean -fdx of an unmounted project, the pin mounts again" {
	two_commits
	datamount umount data
	git clean -q -fdx
	[ ! -e data ]
	datamount -q ./data
	same_as_published
}

@test "git status beside 100,000 mounted files reads none of their directories" {
	python3 - "$T/many" <<-'END'
		import os, sys
		for d in range(100):
		    p = os.path.join(sys.argv[1], f"{d:02}")
		    os.makedirs(p)
		    for f in range(1000):
		        with open(os.path.join(p, f"{f:03}"), "w") as out:
		            out.write(f"{d} {f}\n")
	END
	datamount commit -q "$T/many" "$REPO@many" -m many
	datamount -q "$REPO@many" data
	git commit -qm pin
	touch another
	directories () {
		datamount status --json data |
			json - '[d[0] if isinstance(d, list) else d][0]["fuse"]' |
			python3 -c 'import sys
f = eval(sys.stdin.read())
print(f["readdir"] + f["readdirplus"] + f["lookup"] + f["read"])'
	}
	before=$(directories)
	[ "$(git status --porcelain)" = '?? another' ]
	git add -A
	git commit -qam another
	[ "$(directories)" = "$before" ]
	[ "$(find data -type f | wc -l)" = 100000 ]
	[ "$(directories)" != "$before" ]
}

@test "a pin never moves silently" {
	datamount -q "$REPO" data
	datamount umount data
	printf 'a,3\n' >"$T/src/a.csv"
	V3=$(datamount commit -q "$T/src" "$REPO" -m three)
	cp data.source before
	fails 1 "data\.source pins ${V2:0:12}; main is now ${V3:0:12}: \`datamount \./data\` mounts the pin, \`datamount update \./data\` moves it" \
		datamount "$REPO@main" ./data
	cmp before data.source
	[ -z "$(dm_mounts)" ]
	datamount -q "$REPO@$V2" ./data
	datamount umount data
	datamount -q "$REPO@v2" ./data
	cmp before data.source
}

@test "a pin of another repository or path is not replaced" {
	datamount -q "$REPO@v1" data
	datamount umount data
	cp data.source before
	datamount init ../other >/dev/null
	datamount commit -q "$T/src" ../other -m one
	fails 1 'another repository' datamount ../other data
	fails 1 "pins the path" datamount "$REPO@v1:sub" data
	cmp before data.source
}

@test "a mount that fails leaves neither pin nor mount point nor staged file" {
	mkdir full
	touch full/x
	fails 1 'not empty' datamount "$REPO@v1" full
	[ "$(git status --porcelain)" = '?? full/' ]
	[ ! -e full.source ] && [ ! -e .gitignore ]
}

@test "what a subdirectory pins is that subdirectory" {
	datamount -q "$REPO@v1:sub" data
	diff -r "$T/src/sub" data
	grep -q '^path = /sub$' data.source
	datamount umount data
	datamount -q ./data
	diff -r "$T/src/sub" data
}

@test "a file elsewhere can be the pin" {
	mkdir pins
	datamount -q --source pins/d.source "$REPO@v1" data
	[ "$(git diff --cached --name-only | tr '\n' ' ')" = \
		'.gitignore pins/d.source ' ]
	datamount umount data
	datamount -q pins/d.source data
	[ "$(shown)" = 1 ]
	[ ! -e data.source ]
	datamount -q update data v2
	[ "$(shown)" = 2 ]
	grep -q "$V2" pins/d.source
}

@test "a repository in the same work tree is pinned relative to the file" {
	cp -a "$REPO" store
	mkdir exp
	datamount -q store@v1 exp/data
	grep -q '^repository = \.\./store$' exp/data.source
	git add -A
	git commit -qm one
	git clone -q . ../clone
	cd ../clone
	datamount -q exp/data
	[ "$(shown exp/data)" = 1 ]
	datamount status --json exp/data | grep -q "$T/clone/store"
}

@test "a relative repository may not leave the work tree" {
	datamount -q "$REPO@v1" data
	datamount umount data
	sed -i 's,^repository = .*,repository = ../repo,' data.source
	fails 1 'outside .*proj: give its absolute path' datamount ./data
	mkdir in
	ln -s "$REPO" in/link
	sed -i 's,^repository = .*,repository = in/link,' data.source
	fails 1 'outside' datamount ./data
}

@test "another repository under the pinned URL is told by its id" {
	datamount -q "$REPO@v1" data
	datamount umount data
	sed -i "s/^id .*/id $(printf '%032d' 5)/" "$REPO/datamount"
	fails 1 'another repository' datamount ./data
	[ -z "$(dm_mounts)" ]
}

@test "update refuses while a process stands in the mount, and names it" {
	datamount -q "$REPO@v1" data
	cp data.source before
	tail -f data/a.csv >/dev/null 3>&- 4>&- &
	ends_with_test $!
	eventually eval '[ /proc/$!/fd/3 -ef data/a.csv ]'
	fails 1 "tail \($!\)" datamount update data v2
	cmp before data.source
	[ "$(shown)" = 1 ]
	datamount -q update --lazy data v2
	[ "$(shown)" = 2 ]
	grep -q "$V2" data.source
}

@test "update keeps the old version if the new one cannot be read" {
	datamount -q "$REPO@v1" data
	cp data.source before
	chmod u+w "$REPO/commits/${V2:0:2}/$V2"
	echo rubbish >"$REPO/commits/${V2:0:2}/$V2"
	fails 1 "${V2:0:12}" datamount update data v2
	cmp before data.source
	[ "$(shown)" = 1 ]
	datamount status --check data
}

@test "update refuses an older state of a ref" {
	datamount -q "$REPO" data
	datamount umount data
	cp -a "$REPO" ../copy
	printf 'a,3\n' >"$T/src/a.csv"
	datamount commit -q "$T/src" "$REPO" -m three
	datamount -q update data
	grep -q '^sequence = 3' data.source
	rm -rf "$REPO"
	mv ../copy "$REPO"
	fails 1 'older main than this machine has seen: sequence 2 after 3' \
		datamount update data
	rm -r "$XDG_STATE_HOME/datamount/seen-refs"
	fails 1 'older main than data.source pins: sequence 2 after 3' \
		datamount update data
	datamount -q update --allow-rollback data
	grep -q "$V2" data.source
}

@test "update says when there is nothing to move" {
	datamount -q "$REPO" data
	cp data.source before
	datamount update data 2>said
	grep -q "pins ${V2:0:12}, which is what main is now" said
	cmp before data.source
}

@test "update of a pin by id asks for a ref" {
	datamount -q "$REPO@$V1" data
	fails 2 'name the ref' datamount update data
	datamount -q update data main
	[ "$(shown)" = 2 ]
}

@test "the hook makes mounts follow checkout, merge and rebase" {
	two_commits
	datamount sync --install-hook
	datamount sync --install-hook
	[ "$(grep -c 'datamount sync' .git/hooks/post-checkout)" -eq 1 ]
	# Its output must not stay open in the daemon that it starts.
	[[ $(git checkout one 2>&1) == *one* ]]
	[ "$(shown)" = 1 ]
	git checkout -q -b side one
	git merge -q two
	[ "$(shown)" = 2 ]
	git checkout -q -b third one
	git commit -q --allow-empty -m empty
	[ "$(shown)" = 1 ]
	git rebase -q two
	[ "$(shown)" = 2 ]
}

@test "a hook that is there keeps what it does" {
	two_commits
	printf '#!/bin/sh\necho ran >>ran\nexit 0\n' >.git/hooks/post-checkout
	chmod +x .git/hooks/post-checkout
	datamount -q sync --install-hook
	git checkout -q one
	[ -e ran ]
	[ "$(shown)" = 1 ]
}

@test "a hook that is no shell script is left alone, and nothing changes" {
	two_commits
	printf '#!/usr/bin/env python3\n' >.git/hooks/post-merge
	chmod +x .git/hooks/post-merge
	fails 1 'post-merge is no shell script' datamount sync --install-hook
	[ ! -e .git/hooks/post-checkout ]
}

@test "hooks go where core.hooksPath says" {
	two_commits
	git config core.hooksPath my-hooks
	datamount -q sync --install-hook
	[ -x my-hooks/post-checkout ]
	[ ! -e .git/hooks/post-checkout ]
}

@test "a checkout succeeds though its mount is in use" {
	two_commits
	datamount -q sync --install-hook
	tail -f data/a.csv >/dev/null 3>&- 4>&- &
	ends_with_test $!
	eventually eval '[ /proc/$!/fd/3 -ef data/a.csv ]'
	git checkout -q one 2>said
	grep -q "datamount: .*tail ($!)" said
	[ "$(shown)" = 2 ]
}

@test "sync outside of Git means the mounts below the current directory" {
	mkdir ../plain
	cd ../plain
	datamount -q "$REPO@v1" data
	sed -i "s/^commit = .*/commit = $V2/" data.source
	(cd "$T/proj" && datamount sync)
	[ "$(shown)" = 1 ]
	datamount -q sync
	[ "$(shown)" = 2 ]
	fails 1 'no Git work tree' datamount sync --install-hook
}

@test "a pinned version that is cached mounts with its origin gone" {
	datamount -q "$REPO@v1" data
	cat data/a.csv data/sub/* >/dev/null 2>&1 || true
	datamount umount data
	mv "$REPO" "$T/away"
	datamount -q ./data
	[ "$(shown)" = 1 ]
}
