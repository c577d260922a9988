#!/usr/bin/env bash
# Checks the public data that the examples use, and says how to get what is missing.
# Usage: examples/fetch-data.sh [--install]
#   --install  install the Debian package dataset-fashion-mnist (about 31 MB) where its files are missing
# Omniglot is looked for in $FEDMETA_DATA/omniglot, default ../shared/data/omniglot beside this checkout.
# Exit code: 0 when everything is there and whole, 1 otherwise.
set -euo pipefail

install=false
case "${1-}" in
  "") ;;
  --install) install=true ;;
  -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) echo "fetch-data.sh: unknown argument '$1'; see --help" >&2; exit 2 ;;
esac

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
omniglot=${FEDMETA_DATA:-$checkout/../shared/data}/omniglot
fashion=/usr/share/datasets/fashion-mnist
package=dataset-fashion-mnist
all_there=true

# check FOLDER < lines "sha256  name": one line a file; false if any is missing or differs.
check() {
  local folder=$1 sum name whole=true
  while read -r sum name; do
    if [[ ! -f $folder/$name ]]; then
      echo "  missing  $name"
      whole=false
    elif [[ $(sha256sum <"$folder/$name") != "$sum  -" ]]; then
      echo "  differs  $name (its SHA-256 is not $sum)"
      whole=false
    else
      echo "  ok       $name"
    fi
  done
  $whole
}

check_fashion() {
  echo "Fashion-MNIST in $fashion"
  check "$fashion" <<'END'
b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7 train-images-idx3-ubyte.gz
0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056 train-labels-idx1-ubyte.gz
cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa t10k-images-idx3-ubyte.gz
8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05 t10k-labels-idx1-ubyte.gz
END
}

check_omniglot() {
  echo "Omniglot in $omniglot"
  check "$omniglot" <<'END'
7526b052bbf46bf8dc9511e047c7a3823ddf4438d352ee32776f18566f3cbc07 omniglot28-nearest-images-idx3-ubyte.gz
041ce1f29c10e35a2839d5b125df7498a4c32c9cbe43dedddd52c4a57551f1cf omniglot28-labels-idx1-int16.gz
e36f36e8cd1f388099be2d85d398b796f59e4623cd2280d3fa5a9825d05847cb omniglot28-classes.tsv
984522c194c30fb678ce53304a160a42faf5403ad4f9a67010f32dd3a35738e0 splits_vinyals/train.txt
11f99e54faee3e26f53d3231c1cceac5bf7b8730e9be31cb6dab256551dc0c1a splits_vinyals/val.txt
845264cc5c156180828ccf17915668b17ee21424d0170df6e7d81676aa5d1204 splits_vinyals/test.txt
END
}

install_fashion() {
  local as_root=()
  if [[ $(id -u) != 0 ]]; then as_root=(sudo); fi
  echo "  running: ${as_root[*]} apt-get install --yes --no-install-recommends $package"
  "${as_root[@]}" apt-get install --yes --no-install-recommends "$package"
}

if ! check_fashion; then
  if $install; then
    install_fashion
    check_fashion || all_there=false
  else
    all_there=false
    echo "  get it:  apt-get install $package   (or run this again with --install)"
  fi
fi

if ! check_omniglot; then
  all_there=false
  cat <<END
  get it:  the drawings are published at https://github.com/brendenlake/omniglot (MIT licence), python/images_background.zip
           and python/images_evaluation.zip; the lists at https://github.com/jakesnell/prototypical-networks (MIT licence),
           data/omniglot/splits/vinyals. Put into the folder above (or another one named by FEDMETA_DATA):
           - omniglot28-nearest-images-idx3-ubyte.gz: the 32,460 drawings at 28x28, nearest neighbour, ink 255, background 0,
             the background set before the evaluation set, each sorted by alphabet, character, file;
           - omniglot28-labels-idx1-int16.gz: their classes, 20 drawings each;
           - omniglot28-classes.tsv: class_id, set, alphabet, character, file_prefix, first_image;
           - splits_vinyals/: train.txt, val.txt, test.txt.
END
fi

$all_there && echo "Everything is there." || exit 1
