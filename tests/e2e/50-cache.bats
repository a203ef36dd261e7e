#!/usr/bin/env bats
# The cache on disk: what it spares, and what becomes of it.

load helpers

setup () {
	dm_setup
	small_data "$T/src" one
	head -c 5000000 /dev/urandom >"$T/src/large"
	for i in $(seq 50); do
		head -c 3000 /dev/urandom >"$T/src/sub/f$i"
	done
	datamount init -q "$T/repo" 2>/dev/null
	datamount commit -q "$T/src" "$T/repo@main" -m one >"$T/one"
}

# Read everything through a mount; the daemon ends with it.
mount_and_compare () {
	datamount "$URL/@main" data
	diff -r --no-dereference src data
	datamount umount data
}

blobs () {
	find "$DATAMOUNT_CACHE/blobs" -type f ! -name '*.map' ! -name '*.dir'
}

@test "a second mount fetches only what names the version" {
	need_fuse
	httpd_start repo
	mount_and_compare
	httpd_ctl forget
	mount_and_compare
	[ "$(httpd_count '/packs/*')" -eq 0 ]
	[ "$(httpd_count '/commits/*')" -eq 0 ]
}

@test "what is cached mounts and reads with the origin gone" {
	need_fuse
	httpd_start repo
	mount_and_compare
	kill "$HTTPD_PID"
	eventually gone "$HTTPD_PID"
	datamount --no-git data.source data
	diff -r --no-dereference src data
}

@test "cache status counts blobs and bytes, cache clear frees them" {
	datamount cat "$T/repo@main:/large" >got
	cmp got src/large
	datamount cache status --json >now.json
	[ "$(json now.json "d['directory']")" = "$DATAMOUNT_CACHE" ]
	[ "$(json now.json "d['blobs']")" -eq "$(blobs | wc -l)" ]
	[ "$(json now.json "d['bytes'] >= 5000000 and d['disk_free'] > 0")" = true ]
	datamount cache status | grep -q "^directory  $DATAMOUNT_CACHE"
	datamount cache clear | grep -q '^freed [0-9.]* MB in [0-9]* blobs'
	[ "$(blobs | wc -l)" -eq 0 ]
	[ "$(datamount cache status --json | json - "d['blobs']")" -eq 0 ]
}

@test "a cache that does not exist yet is empty and sound" {
	remove_cache
	[ "$(datamount cache status --json | json - "d['bytes']")" -eq 0 ]
	datamount cache clear
	datamount fsck
	[ ! -e "$DATAMOUNT_CACHE" ]
}

@test "fsck says nothing is wrong, then finds one wrong byte and exits 3" {
	datamount cat "$T/repo@main:/large" >/dev/null
	datamount fsck | grep -q ' 0 damaged'
	victim=$(find "$DATAMOUNT_CACHE" -size +4M)
	printf X | dd of="$victim" bs=1 seek=1234567 conv=notrunc status=none
	run datamount fsck
	[ "$status" -eq 3 ]
	[[ $output == *' 1 damaged and dropped'* ]]
	datamount fsck
	datamount cat "$T/repo@main:/large" | cmp - src/large
}

@test "damage under a running mount is never seen" {
	need_fuse
	httpd_start repo
	datamount "$URL/@main" data
	diff -r --no-dereference src data
	for seed in 1 2 3; do
		find "$DATAMOUNT_CACHE/blobs" -type f >files
		while read -r f; do
			size=$(stat -c %s "$f")
			printf 'garbage%s' "$seed" | dd of="$f" bs=1 \
				seek=$((size * seed / 4)) conv=notrunc status=none
		done <files
		datamount umount data
		datamount "$URL/@main" data
		diff -r --no-dereference src data
	done
	datamount umount data
	datamount fsck
}

@test "a mount reads on while its cache is cleared and removed" {
	need_fuse
	httpd_start repo
	datamount "$URL/@main" data
	for how in 'datamount cache clear' remove_cache; do
		diff -r --no-dereference src data
		$how
		[ "$(id -u)" -ne 0 ] || echo 3 >/proc/sys/vm/drop_caches
		diff -r --no-dereference src data
	done
}

@test "eight mounts share one cache while it is cleared" {
	need_fuse
	local pids=()
	httpd_start repo
	for i in $(seq 8); do
		datamount "$URL/@main" "data$i"
	done
	for i in $(seq 8); do
		diff -r --no-dereference src "data$i" >"diff$i" 2>&1 3>&- &
		pids+=($!)
	done
	for _ in 1 2 3 4 5; do datamount cache clear >/dev/null; done
	wait "${pids[@]}"
	cat diff?
	[ -z "$(cat diff?)" ]
	for i in $(seq 8); do datamount umount "data$i"; done
	datamount fsck
}

@test "a reader that is killed at any moment leaves a cache that is sound" {
	httpd_start repo '/packs/* * drip=4000000'
	for ms in 02 05 10 20 40 80; do
		timeout -s KILL "0.$ms" datamount cat "$URL/@main:/large" \
			>/dev/null 2>&1 3>&- || true
	done
	httpd_ctl clear
	datamount cat "$URL/@main:/large" | cmp - src/large
	datamount fsck
}

@test "a full cache disk slows a mount down and fails nothing" {
	need_fuse
	need_root
	httpd_start repo
	mkdir -p "$DATAMOUNT_CACHE"
	mount -t tmpfs -o size=1m,mode=700 none "$DATAMOUNT_CACHE"
	datamount "$URL/@main" data
	diff -r --no-dereference src data
	datamount umount data
	umount "$DATAMOUNT_CACHE"
}

@test "a cache that others can write is refused" {
	mkdir -p "$DATAMOUNT_CACHE"
	chmod 777 "$DATAMOUNT_CACHE"
	fails 1 "can be written by others; chmod go-w $DATAMOUNT_CACHE" \
		datamount cat "$T/repo@main:/a.csv"
	fails 1 'can be written by others' datamount fsck
}

@test "a cache of another user is refused" {
	need_root
	install -d -m 700 -o nobody "$DATAMOUNT_CACHE"
	fails 1 'belongs to another user' datamount cat "$T/repo@main:/a.csv"
}

@test "--cache names another directory" {
	datamount cat --cache "$T/other" "$T/repo@main:/a.csv" | cmp - src/a.csv
	[ -d other/blobs ]
	[ "$(stat -c %a other)" = 700 ]
	[ ! -e "$DATAMOUNT_CACHE/blobs" ]
	datamount cache clear --cache "$T/other" | grep -q "of $T/other"
}

@test "cache wants status, limit or clear" {
	fails 2 'status, limit or clear, not destroy' datamount cache destroy
}
