#!/usr/bin/env bash
# Builds the Debian package of the agent. Usage: build.sh DIRECTORY-OF-PROGRAMS OUTPUT [VERSION]
#
# numpy and psutil are the distribution's, compiled for its own Python; what is pure Python and not
# packaged everywhere is put beside the agent, where no other program finds it. So one package is for
# all architectures and for every Python from 3.11 on.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$1
output=$2
version=${3:-$(sed -n 's/^version = "\(.*\)"/\1/p' agent/pyproject.toml)-1}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
library=$root/usr/lib/railwatch-agent
documents=$root/usr/share/doc/railwatch-agent

"$bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps \
    --no-build-isolation -c constraints.txt --target "$library" ./agent nvidia-ml-py
# The command is our own; what else modules bring is not for running them.
rm -rf "$library/bin" "$library"/example.py "$library"/*.dist-info/{direct_url.json,REQUESTED}

install -D -m 755 deploy/debian/railwatch-agent "$root/usr/bin/railwatch-agent"
install -D -m 644 deploy/agent.toml "$root/etc/railwatch/agent.toml"
install -D -m 644 deploy/systemd/railwatch-agent.service -t "$root/usr/lib/systemd/system"
install -D -m 644 deploy/systemd/railwatch-agent.sysusers.conf \
    "$root/usr/lib/sysusers.d/railwatch-agent.conf"
install -D -m 644 deploy/systemd/railwatch-agent.tmpfiles.conf \
    "$root/usr/lib/tmpfiles.d/railwatch-agent.conf"
install -D -m 644 deploy/systemd/drop-ins/*.conf -t "$documents/examples/drop-ins"
install -D -m 644 deploy/debian/copyright -t "$documents"
install -D -m 755 deploy/slurm/prolog.d/* -t "$documents/examples/slurm/prolog.d"
install -D -m 755 deploy/slurm/epilog.d/* -t "$documents/examples/slurm/epilog.d"
install -D -m 644 deploy/slurm/README.md -t "$documents/examples/slurm"
gzip -9n <CHANGELOG.md >"$documents/changelog.gz"
printf 'railwatch-agent (%s) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- %s  %s\n' \
    "$version" "$(sed -n 's/^Maintainer: //p' deploy/debian/control.in)" \
    "$(date -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$documents/changelog.Debian.gz"

mkdir "$root/DEBIAN"
sed -e "s/@VERSION@/$version/" -e "s/@SIZE@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" \
    deploy/debian/control.in >"$root/DEBIAN/control"
echo /etc/railwatch/agent.toml >"$root/DEBIAN/conffiles"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

mkdir -p "$output"
find "$root" -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$output/railwatch-agent_${version}_all.deb" >/dev/null
echo "$output/railwatch-agent_${version}_all.deb"
