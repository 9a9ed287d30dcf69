"""Public known answers that the start-up self-test recomputes."""

from base64 import b64decode
from typing import NamedTuple


class AeadAnswer(NamedTuple):
    """One encryption without associated data."""

    key: bytes
    nonce: bytes
    clear: bytes
    sealed: bytes


class XwingAnswer(NamedTuple):
    """One HPKE base-mode key schedule over MLKEM768-X25519 with ChaCha20-Poly1305."""

    seed: bytes
    opening_key_fp: bytes
    """SHA-256 of the 1216-byte public key."""
    info: bytes
    key: bytes
    base_nonce: bytes
    enc: bytes


AEAD = {
    # RFC 8452, appendix C.2
    "AES_256_GCM_SIV": AeadAnswer(
        key=bytes.fromhex("01").ljust(32, b"\x00"),
        nonce=bytes.fromhex("03").ljust(12, b"\x00"),
        clear=bytes.fromhex("0100000000000000"),
        sealed=bytes.fromhex("c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    ),
    # McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14
    "AES_256_GCM": AeadAnswer(
        key=bytes(32),
        nonce=bytes(12),
        clear=bytes(16),
        sealed=bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ),
}

# FiloSottile/hpke, testdata/hpke-pq.json, KEM 0x647a (draft-ietf-hpke-pq)
XWING = {
    "HKDF_SHA256": XwingAnswer(
        seed=bytes.fromhex("b3f98b03126a431ccecc62ae0f68e102c2d8e1cc7b21ba85d821d8e31761e0f8"),
        opening_key_fp=bytes.fromhex(
            "120b60e0ae3c00c1c9def1c61aeb12de710bfa49646ae6f99a7e564b25ace493"
        ),
        info=b"4f6465206f6e2061204772656369616e2055726e",
        key=bytes.fromhex("4a4c042267e8ec360c83b2baf0d5e3dcca73a86531cdf67ec41d95bccfe12387"),
        base_nonce=bytes.fromhex("5ddfaaee10a4dfd0d8e1b49f"),
        enc=b64decode(
            "tEDLAGRm6O6dFhs3G2+h7EGdanWJSSN43GeP7bz5596/tH9+C1NosOd+9bWGZoa2UjHb0cGkLgr5sKuw"
            "bHlaGvBzS0UNu2D+BIaxSX17CdDEZhekDF+MirUcLo4fSAI/c7fEcWu6LpBdX7QsPe3/FmVT7PAzMFpX"
            "v0NjF+ZRPe6i9lU3Blu12C3EuKllw+k5uRDcawJ+AWc6bhOZuTl2KS75/YESDvL2xH2Uocd9n+FrpxB6"
            "impM6c4NMChH1gIWfeB34X27fgFUIC92w4HEtti8pRaA2rTb83PajwmqI9IXT7Nmgc5CEI97qtyzVia6"
            "8wpBa9ebPiSVhQecJ3t5t7MRCO8GHyW11OVI9vXMPUwk+g8XFoQ7tjrQCnjzfS4rgVF4EKvphTgpvtez"
            "ujCa1pfYpfZq9N0jfCVyXpxiY3RL+GQdR11HkqsFNdK0/fzwxdlRGPV3lSECMBbUl1F5ShzmbyplJDaE"
            "OXiTdWKkpehijStyCJDX87IcFROZun2wPNFVFsapS4T20Bo3upLMesbEgNyfZ8OgZjeBgLzSki0/XGXW"
            "n9C5aq3AVdawXrsRBazGCfIA4MlFoQ5OETceIzad4gaczXF1plLDzQnrfxfJtltKp5smRo+bIfjAqo90"
            "cdXPvzaX0+7eqTUVl86YHnz3RcKVAHDB+C8TK0hYTQO6EmLLhW/2ta4lmS34YS0k8Gi0Ml0zYGc+0+9u"
            "KlfeKX1UgsXMNVvAfx2XX8bWDNcQm/Wneg/3ssXZ9KJ20wy0naSLi5C2RLFaW2j8xnwl8JqOVny+T6Li"
            "uhHAKZPp6bQRanxg2mSnGTKACuwvtNLs7vV8b8Iwjzrc2bRqKHSFFihL20s6NoUVEsXg5u03718AsH3D"
            "xCZnz5XK12Tkf0iplNF8ED+CJXVcdgCAE4l8A8MQQ98Os5pgPgnK6qQa4kSI/pbk2DtK5UgQRfSnz9fI"
            "CzHOnuuP3s00vhJF82irWjIVy8374FKeH7xLoAQc+roJg2wl3WIZ51+8bxQ+dNaG7NnhpBaIG8IakSn7"
            "hl6CMymFeY9wH3lSxOaee05r0Dv/3Axl4qL96J9zuGWf0sx9+wcNPpVYHRvFh6LZxL8UL9wfIIVtPPtk"
            "01dE7iebgpGEcjIh6fsZ8BKrmcS7GpBKEWcntmfFoRoOEfPjFoKwwRQ0Xsw+4VO8zYhGVL1aigI6o9uH"
            "gUhzb2oJD5J4VCOpuisDezuQ7pFle6SKElNg2udab93+pAbKgjpeT7tUqokJ+9hdldLtJW7V1qkZT60N"
            "gaRNMXKr9rkM7NHtIIB2LWcNtNNDfvjp59OdtLQhXDP40ZJA7Uvy3osQdrNFcHBDpzW/npbhbItnDPLf"
            "DOjbY4x9hKE+57NSZsfw5g0ssuVzTp1kaocdDf2LTuX4Jb95mhJR7SHlRRDpxgW8g6C9lnOu6A6NBkqV"
            "w8MVH/0nYIFzY3+53jCzwC2W7srAXb98L7yYtKH2lyzpKDIqIuK3XA=="
        ),
    ),
    "SHAKE256": XwingAnswer(
        seed=bytes.fromhex("977e67dd1cb3cbe7d2ba07816bd3d3d00f9b57a1c69426a628f4a1ca5ecb49fc"),
        opening_key_fp=bytes.fromhex(
            "672edcd9fc7874e45fe644c88bdf42acda487160a407e592d7e39e08043ab641"
        ),
        info=b"4f6465206f6e2061204772656369616e2055726e",
        key=bytes.fromhex("71663e55023184f6a4674fcb36a7789398d3c33efe1210ad1bbf4a1ad8aaaa6a"),
        base_nonce=bytes.fromhex("57bd1f0b8f5dd860e69d1f70"),
        enc=b64decode(
            "+m+bo808YeRhLgMKF+rE7IECMjluXrmJfJt3Y76qpKO3ItyQ4th47xmkZ9IXS2GeRK1IUB+IlOQXx9pl"
            "gRNgbOjJKBrmDuQEHv1BW+lYlu5ue4G0tGBjGdyZIplnUZ//F6zD8JsnQ8TTeT2U0Sruk55DdbXBqTFx"
            "x7vHQUIxHuZIMVC1X3hbTXP/YCKuU+UXbaKlNQUj/cAEUSsxXQAh1ZmG2v1vHdbFa0vRenQ/Q6P/ndRM"
            "kX6x7e4A0nwwEP5q3C1l4kOxLIf4oGG53WHvWp3WVgsV5ZdF4bOONfmAoc+9YE7s9wDlLlWJUM1r8ZVs"
            "fZrw2IvLJqpaiJgsoib6KcQiHdVbRl3+bDwMCS5T1ct3hnYTarLg5Cw0a4QSC++bfUfpExfBbCzpzcOj"
            "Qr5KTR5D37PvWYc7rSQ6xzzlRg0RTi3gE7Qb8wJynRfRAUaCI63Ia3OPBoI/44bMynRcUXjDEK4J+djA"
            "Y4e67DJo0q2c0rt+8g5JwLsaDX5EWPKaHD1LzwZFqFWQh/uB+iJR9EpWU7WvkCgZDOetJOv/ZBXciGnX"
            "2KEDOuczXyD97GYdBbEmE1pmbmQgzSR84IGiKN+liOU2brVpyVRkQJAlRYaNl0jJIKU6/dLveIOwC+Ge"
            "l2uON4VmbCUW0q0aFCOlqhV0h9J9y6G5NeAlCnx3C3aURsRZ15ck/WVaNDYTFAHgQgnafAYhIuwQaKBm"
            "2Yte6jCC/ZGtd8eRjpEwW7bigOA94t0PenuP6OuqgFYgyvAl4BjMcPDk0qAhorYLkhZcjkmhI2e6lv6z"
            "N3PWL81tmPjSwQOX0I8AKOSSDA1oW/4sq/QpEyrvIQP6ezs5LFsegvewi6zktg9lpkoqhEARefI0/IK7"
            "ZxMCwk348sMz5dy4bJgGbi4PPKX6NpDjK6brkfS57yDAE7c/UMMKpvJvZ19DLFKKU7I+2RCvhQ7cbdBF"
            "osITNubKwM3IKKa2UgOWsIfTPgehNPMaDPQh66Eh5xMr1vLgWWK4h2/PtHDOkPfyUZ73osFLhDI3Q1GD"
            "EjeJBLYByIBTGJSkono4ifcupXV9DfEzmXxORyOKhFzIHdAoXzGoWCH6L3Q6WyzOmPdZxcPgDZYuHQWc"
            "S901KZ5wr5rsdD8P+U6iXTWTlR2Q8OskKEgZNOErfDBJ0WadJX7XWCdsQdYdsvyVECgeeAk3vATlr/3z"
            "q78eghChHEO2WXfq4EO4MYGl+i4qsGUNIk4vGDP3Ecb57qY+vkFqPuxZ60ZKqWnmluPi4TvCeYm27OmM"
            "BJoFtXSMHO1FnXSmIC2dlS+5ArypOogtaLGdn0CQvKgSxQgaJsGtLygk/8sCTUAOF3p+0maFW4uBDCwO"
            "Qsu0bnufDHLGiZUZsZ8iIgCK3kTHMdZ4ACUzwSv/Wpp2n2IHX0AxjY+w8/cwBNQcKwVzDNg0gLmIHz4V"
            "knSBS36OG7hZtSg7bfcjzVIkFAxfmYCkYkFyQG5eb2ExiffcT6JDcg=="
        ),
    ),
}
