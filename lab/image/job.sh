#!/bin/sh
# mmdebstrap extract hook: `job.sh ROOT SITE` puts the Python packages of the directory SITE into the job image in ROOT.
set -eu
root=$1
packages="$root/usr/local/lib/python3.11/dist-packages"

mkdir -p "$packages" "$root/tmp" "$root/root" "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/var/cache/matplotlib"
chmod 1777 "$root/tmp" "$root/var/cache/matplotlib"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
cp -r --no-preserve=ownership "$2/." "$packages/"

# The layer below Python: a shell in one file, with what jobs call.
mkdir -p "$root/shell/bin" "$root/shell/usr/bin" "$root/shell/etc" "$root/shell/root" "$root/shell/tmp"
chmod 1777 "$root/shell/tmp"
cp -p "$root/etc/passwd" "$root/etc/group" "$root/shell/etc/"
mv "$root/bin/busybox" "$root/shell/bin/"
for name in sh basename cat chmod cp cut date dd dirname du env expr false find grep gzip head hostname id kill ln ls md5sum \
    mkdir mv nice printf pwd readlink rm rmdir sed seq sha256sum sleep sort stat sync tail tar tee test timeout touch tr true \
    uname uniq wc xargs; do
    ln -s busybox "$root/shell/bin/$name"
done
ln -s /bin/busybox "$root/shell/usr/bin/env"

# Of scikit-learn only the data set is used; without its code and scipy the image is half the size.
find "$packages/sklearn" "$packages/scikit_learn.libs" -type f ! -name digits.csv.gz -delete
find "$packages" "$root/usr/lib/python3.11" -type d \( -name tests -o -name test -o -name __pycache__ -o -name include \
    -o -name sample_data -o -name ensurepip -o -name lib2to3 -o -name idlelib -o -name pydoc_data \) -prune -exec rm -rf {} +
find "$packages" -type f \( -name '*.c' -o -name '*.h' -o -name '*.a' -o -name '*.pyi' \) -delete
# Each machine pulls this image anew: without what no job here uses it is a quarter smaller. (fontTools is for PDF files,
# avif and webp are other formats of pictures, matplotlib's other fonts are other styles of formulas, gconv is for iconv.)
find "$packages/fontTools" -mindepth 1 -maxdepth 1 -type d ! -name misc -exec rm -rf {} +
rm -rf "$packages"/fontTools/misc/*.so "$packages"/PIL/_avif.* "$packages"/PIL/_webp.* "$packages"/pillow.libs/libavif* \
    "$packages"/pillow.libs/libwebp* "$packages"/pillow.libs/libsharpyuv* \
    "$packages/tzdata" "$packages/numpy/distutils" "$packages/numpy/f2py" "$root"/usr/lib/*/gconv \
    "$packages/matplotlib/mpl-data/fonts/afm" "$packages/matplotlib/mpl-data/fonts/pdfcorefonts"
find "$packages/matplotlib/mpl-data/fonts/ttf" -type f ! -name 'DejaVuSans*' ! -name 'cm*' ! -name 'LastResort*' -delete
find "$packages" -type d -empty -delete

# What a container would compute at every start is computed once; without the sources an image has half as many files, and
# ext4 is slow to make files where many were deleted a moment ago. (What cannot be compiled keeps its source.)
chroot "$root" python3 -m compileall -q -b /usr/lib/python3.11 /usr/lib/python3 /usr/local/lib/python3.11 >/dev/null || true
find "$packages" "$root/usr/lib/python3.11" "$root/usr/lib/python3" -name '*.py' -exec \
    sh -c 'for source; do [ ! -e "${source}c" ] || rm "$source"; done' sh {} +
MPLCONFIGDIR=/var/cache/matplotlib MPLBACKEND=Agg chroot "$root" python3 -c '
import io, numpy, matplotlib.pyplot as plot
plot.semilogy([1, 10])
plot.title("digits")
plot.savefig(io.BytesIO(), format="png")' >/dev/null
