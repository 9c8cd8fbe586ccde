#!/usr/bin/env python3
"""Checks the emulator's algorithms against independent implementations, with random inputs. See README.md."""

import argparse
import collections
import datetime
import hashlib
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import warnings

# psec and pyemv ask cryptography for TDES in ways it would rather not see.
warnings.filterwarnings("ignore", message=".*TripleDES.*")

import psec
from asn1crypto import cms, core, keys
from bitstring import BitArray
from Crypto.Cipher import AES, DES, DES3
from Crypto.Hash import CMAC
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import cmac, hashes, serialization
from cryptography.hazmat.primitives import padding as symmetric_padding
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from dukpt import Server
from pyemv import ac, cvv, kd, sm
from pyemv import mac as emv_mac

try:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
except ImportError:
    TripleDES = algorithms.TripleDES

HERE = os.path.dirname(os.path.abspath(__file__))


def optional(module):
    """A module that checks once more what another package checks, so that the test can go on without it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        print(f"left out: {module}: {error}")
        return None


cardutil = optional("cardutil.pinblock")
iso8583sim = optional("iso8583sim.security")
pydukpt = optional("pydukpt")


class Tally:
    """Passed comparisons per family and library; the mismatches."""

    def __init__(self):
        self.cases = collections.Counter()
        self.passed = collections.Counter()
        self.failures = []

    def same(self, family, library, ours, theirs, case):
        if ours == theirs:
            self.passed[family, library] += 1
        else:
            self.failures.append(f"{family}: ours {ours!r}, {library} {theirs!r}: {json.dumps(case)}")

    def refused(self, family, library, attempt, case):
        """Counts that `attempt` raises ValueError, as a refused block does."""
        try:
            opened = attempt()
        except ValueError:
            self.passed[family, library] += 1
        else:
            self.failures.append(f"{family}: {library} opened {opened!r}: {json.dumps(case)}")

    def report(self):
        for family, cases in self.cases.items():
            libraries = [f"{library} {n}" for (name, library), n in self.passed.items() if name == family]
            print(f"{family:24}{cases:6} cases   {', '.join(libraries)}")
        for failure in self.failures[:20]:
            print(f"MISMATCH {failure}", file=sys.stderr)
        print(f"{sum(self.passed.values())} passed, {len(self.failures)} failed")
        return 1 if self.failures else 0


def unhex(text):
    return bytes.fromhex(text)


def upper(data):
    return data.hex().upper()


# Each check takes a case and yields (library, ours, theirs).


def check_iso0(c):
    block = upper(psec.pinblock.encode_pinblock_iso_0(c["pin"], c["pan"]))
    yield "psec encodes", c["block"], block
    yield "psec decodes", c["pin"], psec.pinblock.decode_pinblock_iso_0(unhex(c["block"]), c["pan"])
    if iso8583sim:
        yield "iso8583sim encodes", c["block"], upper(iso8583sim.encode_pin_block(c["pin"], c["pan"], 0))
        yield "iso8583sim decodes", c["pin"], iso8583sim.decode_pin_block(unhex(c["block"]), c["pan"], 0)
    if pydukpt:
        yield "pydukpt encodes", c["block"], upper(pydukpt.encode_pin_block(c["pin"], c["pan"]))
        yield "pydukpt decodes", c["pin"], pydukpt.decode_pin_block(unhex(c["block"]), c["pan"])


def check_iso1(c):
    # Control nibble, length, PIN; the rest is free.
    yield "by hand", c["block"][: 2 + len(c["pin"])], f"1{len(c['pin']):X}{c['pin']}"
    if iso8583sim:
        yield "iso8583sim decodes", c["pin"], iso8583sim.decode_pin_block(unhex(c["block"]), None, 1)


def check_iso2(c):
    yield "psec encodes", c["block"], upper(psec.pinblock.encode_pinblock_iso_2(c["pin"]))
    yield "psec decodes", c["pin"], psec.pinblock.decode_pinblock_iso_2(unhex(c["block"]))
    yield "pyemv encodes", c["block"], upper(sm.format_iso9564_2_pin_block(c["pin"]))


def check_iso3(c):
    yield "psec decodes", c["pin"], psec.pinblock.decode_pinblock_iso_3(unhex(c["block"]), c["pan"])
    if iso8583sim:
        yield "iso8583sim decodes", c["pin"], iso8583sim.decode_pin_block(unhex(c["block"]), c["pan"], 3)


def check_iso4(c):
    key = unhex(c["key"])
    yield "psec decodes", c["pin"], psec.pinblock.decipher_pinblock_iso_4(key, unhex(c["block"]), c["pan"])
    if iso8583sim:
        yield "iso8583sim decodes", c["pin"], iso8583sim.decrypt_pin_block(c["block"], c["pan"], key, 4)


def check_visa_new(c):
    yield "pyemv encodes", c["block"], upper(sm.format_vis_pin_block(unhex(c["udk"]), c["pin"]))


def check_visa_old(c):
    block = sm.format_vis_pin_block(unhex(c["udk"]), c["pin"], c["old_pin"])
    yield "pyemv encodes", c["block"], upper(block)


def check_pvv(c):
    pvv = psec.pin.generate_visa_pvv(unhex(c["pvk"]), c["pvki"], c["pin"], c["pan"][:-1][-12:] + "0")
    yield "psec", c["pvv"], pvv
    if cardutil:
        yield "cardutil", c["pvv"], cardutil.calculate_pvv(c["pin"], c["pvk"], c["pvki"], c["pan"])


def natural_by_hand(c):
    """The published steps of IBM 3624: the validation data enciphered, each hex digit looked up in the table."""
    key = unhex(c["pvk"])
    cipher = DES.new(key, DES.MODE_ECB) if len(key) == 8 else DES3.new(key, DES3.MODE_ECB)
    return "".join(c["table"][int(digit, 16)] for digit in cipher.encrypt(unhex(c["data"])).hex())


def check_offset(c):
    common = {"pan": c["data"], "pan_verify_offset": 0, "pan_verify_length": 16, "pan_pad": "F"}
    offset = psec.pin.generate_ibm3624_offset(unhex(c["pvk"]), c["table"], c["pin"], **common)
    pin = psec.pin.generate_ibm3624_pin(unhex(c["pvk"]), c["table"], c["offset"], **common)
    yield "psec offset", c["offset"], offset
    yield "psec PIN", c["pin_of_offset"], pin
    by_hand = "".join(str((int(p) - int(n)) % 10) for p, n in zip(c["pin"], natural_by_hand(c)))
    yield "by hand, pycryptodome", c["offset"], by_hand


def check_natural(c):
    natural = psec.pin.generate_ibm3624_pin(unhex(c["pvk"]), c["table"], "0" * 16, c["data"], 0, 16, "F")
    yield "psec", c["natural"], natural
    yield "by hand, pycryptodome", c["natural"], natural_by_hand(c)


def check_dukpt(c):
    ksn = unhex(c["ksn"])
    if pydukpt:
        initial = pydukpt.derive_ipek(unhex(c["bdk"]), ksn)
        transaction = pydukpt.derive_key(initial, ksn)
        yield "pydukpt initial key", c["ipek"], upper(initial)
        yield "pydukpt transaction key", c["transaction"], upper(transaction)
        yield "pydukpt pin key", c["pin"], upper(pydukpt.pin_key(transaction))
        yield "pydukpt mac key", c["mac"], upper(pydukpt.mac_request_key(transaction))
        yield "pydukpt mac_response key", c["mac_response"], upper(pydukpt.mac_response_key(transaction))
        yield "pydukpt data key", c["data"], upper(pydukpt.data_request_key(transaction))
        yield "pydukpt data_response key", c["data_response"], upper(pydukpt.data_response_key(transaction))
    # The package does not reset the counter for the right half of the initial key.
    device = ksn[:7] + bytes([ksn[7] & 0xE0, 0, 0])
    server = Server(bdk=unhex(c["bdk"]))
    ipek = server.generate_ipek(BitArray(bytes=device))
    yield "dukpt (PyPI) initial key", c["ipek"], upper(ipek.bytes)
    # Nor does it look at more than the lowest nine bits of the counter.
    if c["counter"] < 0x200:
        key = server.derive_key(ipek, BitArray(bytes=ksn))
        yield "dukpt (PyPI) transaction key", c["transaction"], upper(key.bytes)
        masks = [
            ("pin", server._pin_mask),
            ("mac", server._mac_req_mask),
            ("mac_response", server._mac_resp_mask),
        ]
        for use, mask in masks:
            yield f"dukpt (PyPI) {use} key", c[use], upper((key ^ mask).bytes)
        # It has the masks of the data keys, but leaves the encipherment under themselves to its caller.
        for use, mask in [("data", server._mac_data_req), ("data_response", server._mac_data_resp)]:
            masked = (key ^ mask).bytes
            yield f"dukpt (PyPI) {use} key", c[use], upper(DES3.new(masked, DES3.MODE_ECB).encrypt(masked))


def check_cvv(c):
    value = psec.cvv.generate_cvv(unhex(c["cvk"]), c["pan"], c["expiry"], c["service"])
    if len(value) == 3:
        yield "psec", c["cvv"], value
    else:
        # Of a block with fewer than three decimal digits the package gives only those.
        yield "psec, short of digits", c["cvv"][: len(value)], value


def check_cvc3(c):
    value = cvv.generate_cvc3(unhex(c["key"]), unhex(c["track"]), unhex(c["atc"]), unhex(c["un"]))
    yield "pyemv", c["cvc3"], value.zfill(5)


def check_mac(c):
    key, data = unhex(c["key"]), unhex(c["data"])
    if c["algorithm"] == 1:
        algorithm = psec.mac.Algorithm.AES if c["aes"] else psec.mac.Algorithm.DES
        yield "psec", c["mac"], upper(psec.mac.generate_cbc_mac(key, data, c["padding"], algorithm=algorithm))
    else:
        yield "psec", c["mac"], upper(psec.mac.generate_retail_mac(key[:8], key[8:], data, c["padding"]))
        if c["padding"] < 3:
            yield "pyemv", c["mac"], upper(emv_mac.mac_iso9797_3(key[:8], key[8:], data, c["padding"]))
    if iso8583sim and not c["aes"] and c["padding"] < 3:
        yield "iso8583sim", c["mac"], iso8583sim.generate_mac(data, key, c["algorithm"], c["padding"])


def check_cmac(c):
    key, data = unhex(c["key"]), unhex(c["data"])
    tag = CMAC.new(key, msg=data, ciphermod=AES if c["aes"] else DES3).digest()
    yield "pycryptodome", c["mac"], upper(tag)
    # OpenSSL's CMAC takes three key parts.
    cipher = algorithms.AES(key) if c["aes"] else TripleDES(key if len(key) == 24 else key + key[:8])
    other = cmac.CMAC(cipher)
    other.update(data)
    yield "cryptography", c["mac"], upper(other.finalize())


def check_card_key(c):
    derive = kd.derive_icc_mk_a if c["option"] == "A" else kd.derive_icc_mk_b
    yield "pyemv", c["key"], upper(derive(unhex(c["master"]), c["pan"], c["psn"]))


def check_session_key(c):
    card, atc = unhex(c["card"]), unhex(c["atc"])
    key = {
        "common": lambda: kd.derive_common_sk(card, unhex(c["r"])),
        "visa-script": lambda: kd.derive_visa_sm_sk(card, atc),
        "tree-4-8": lambda: kd.derive_emv2000_tree_sk(card, atc, 8, 4),
        "tree-2-16": lambda: kd.derive_emv2000_tree_sk(card, atc, 16, 2),
    }[c["kind"]]()
    yield "pyemv", c["key"], upper(key)


def check_arqc(c):
    theirs = ac.generate_ac(unhex(c["key"]), unhex(c["data"]), ac.PaddingType(c["padding"]))
    yield "pyemv", c["arqc"], upper(theirs)


def check_arpc(c):
    key, arqc = unhex(c["key"]), unhex(c["arqc"])
    yield "pyemv method 1", c["method1"], upper(ac.generate_arpc_1(key, arqc, unhex(c["response_code"])))
    theirs = ac.generate_arpc_2(key, arqc, unhex(c["csu"]), unhex(c["proprietary"]))
    yield "pyemv method 2", c["method2"], upper(theirs)


def check_script(c):
    key, data = unhex(c["key"]), unhex(c["data"])
    yield "pyemv MAC", c["mac"], upper(sm.generate_command_mac(key, data))
    theirs = sm.encrypt_command_data(key, data, sm.EncryptionType[c["kind"]])
    yield "pyemv encipherment", c["enciphered"], upper(theirs)


def check_tr31(c):
    header, key = psec.tr31.unwrap(unhex(c["kbpk"]), c["block"])
    yield "psec opens the key", c["key"], upper(key)
    yield "psec reads the optional blocks", dict(c["optional"]), {k: v for k, v in header.blocks.items() if k != "PB"}


def check_tr34(c):
    """The token as a host assembles it, opened as a receiver opens it."""
    attributes = cms.CMSAttributes.load(unhex(c["attributes"]))
    signer = rsa_public_key(unhex(c["kdh_public_key"]))
    signer.verify(unhex(c["signature"]), unhex(c["attributes"]), rsa_padding.PKCS1v15(), hashes.SHA256())
    yield "asn1crypto, DER", c["attributes"], upper(attributes.dump(force=True))
    values = {attribute["type"].dotted: attribute["values"][0] for attribute in attributes}
    yield "nonce", c["nonce"], upper(core.OctetString.load(values["1.2.840.113549.1.9.25.3"].dump()).native)
    header = core.OctetString.load(values["1.2.840.113549.1.7.1"].dump()).native
    yield "header", c["header"], header.decode()
    envelope = cms.EnvelopedData.load(unhex(c["envelope"]))
    digest = hashlib.sha256(envelope.contents).digest()
    yield "hashlib", upper(values["1.2.840.113549.1.9.4"].native), upper(digest)

    recipient = envelope["recipient_infos"][0].chosen
    yield "asn1crypto, KRD", c["krd"], upper(recipient["rid"].chosen.dump())
    parameters = recipient["key_encryption_algorithm"]["parameters"]
    algorithms_of_oaep = parameters["hash_algorithm"], parameters["mask_gen_algorithm"]["parameters"]
    yield "asn1crypto, OAEP", "sha256 sha256", " ".join(algorithm["algorithm"].native for algorithm in algorithms_of_oaep)
    receiver = rsa_private_key(int(c["p"], 16), int(c["q"], 16))
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    ephemeral = receiver.decrypt(recipient["encrypted_key"].native, oaep)
    content = envelope["encrypted_content_info"]
    iv = content["content_encryption_algorithm"]["parameters"].native
    decryptor = Cipher(TripleDES(ephemeral), modes.CBC(iv)).decryptor()
    padded = decryptor.update(content["encrypted_content"].native) + decryptor.finalize()
    unpadder = symmetric_padding.PKCS7(64).unpadder()
    block = unpadder.update(padded) + unpadder.finalize()
    fields = KeyBlock.load(block)
    key, inner = fields["key"].native, fields["header"]["values"][0].native.decode()
    yield "asn1crypto", (1, c["kdh"], c["header"]), (fields["version"].native, upper(fields["kdh"].dump()), inner)
    encryptor = Cipher(TripleDES(key if len(key) == 24 else key + key[:8]), modes.ECB()).encryptor()
    yield "cryptography", c["check_value"], upper(encryptor.update(bytes(8)))
    if shutil.which("openssl"):
        yield "openssl cms", upper(block), upper(openssl_decrypt(c, receiver))


class HeaderValues(core.SetOf):
    _child_spec = core.OctetString


class HeaderAttribute(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("values", HeaderValues)]


class KeyBlock(core.Sequence):
    """The key block of TR-34."""

    _fields = [("version", core.Integer), ("kdh", cms.IssuerAndSerialNumber), ("key", core.OctetString), ("header", HeaderAttribute)]


def rsa_public_key(der):
    numbers = keys.RSAPublicKey.load(der).native
    return rsa.RSAPublicNumbers(numbers["public_exponent"], numbers["modulus"]).public_key()


def rsa_private_key(p, q):
    d = pow(65537, -1, (p - 1) * (q - 1))
    exponents = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *exponents, rsa.RSAPublicNumbers(65537, p * q)).private_key()


def openssl_decrypt(c, receiver):
    """What `openssl cms` decrypts with a certificate that has the receiver's name and serial number."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
    now = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, receiver.public_key(), 7, now, now + datetime.timedelta(days=1))
    certificate = builder.sign(receiver, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = receiver.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    message = cms.ContentInfo({"content_type": "enveloped_data", "content": cms.EnvelopedData.load(unhex(c["envelope"]))})
    with tempfile.TemporaryDirectory() as directory:
        for file, data in ("cert", certificate), ("key", private):
            with open(os.path.join(directory, file), "wb") as out:
                out.write(data)
        command = ["openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-recip", "cert", "-inkey", "key"]
        done = subprocess.run(command, input=message.dump(), stdout=subprocess.PIPE, cwd=directory, timeout=60)
    return done.stdout


def check_agreement(c):
    private = serialization.load_der_private_key(unhex(c["private"]), None)
    secret = private.exchange(ec.ECDH(), serialization.load_der_public_key(unhex(c["public"])))
    derive = X963KDF if c["derivation"] == "X963" else ConcatKDFHash
    hash_function = getattr(hashes, c["hash"])()
    yield "cryptography", c["key"], upper(derive(hash_function, len(c["key"]) // 2, unhex(c["information"])).derive(secret))


CHECKS = {
    "pinblock-iso0": check_iso0,
    "pinblock-iso1": check_iso1,
    "pinblock-iso2": check_iso2,
    "pinblock-iso3": check_iso3,
    "pinblock-iso4": check_iso4,
    "pinblock-visa-new-pin": check_visa_new,
    "pinblock-visa-old-pin": check_visa_old,
    "pvv": check_pvv,
    "ibm-offset": check_offset,
    "ibm-natural-pin": check_natural,
    "dukpt-tdes": check_dukpt,
    "dukpt-aes": lambda c: (),  # only by paysec
    "cvv": check_cvv,
    "cvc3": check_cvc3,
    "mac": check_mac,
    "cmac": check_cmac,
    "emv-card-key": check_card_key,
    "emv-session-key": check_session_key,
    "arqc": check_arqc,
    "arpc": check_arpc,
    "emv-script": check_script,
    "tr31": check_tr31,
    "tr34": check_tr34,
    "agreement": check_agreement,
}


def tampered(rng, block):
    """The block with one hex digit of its encrypted key or MAC changed."""
    at = rng.randrange(len(block) - 8, len(block)) if rng.random() < 0.5 else rng.randrange(len(block) - 48, len(block))
    other = rng.choice([d for d in "0123456789ABCDEF" if d != block[at]])
    return block[:at] + other + block[at + 1 :]


def psec_blocks(rng, count):
    """Blocks of psec's making: (protection key, key, optional blocks, block)."""
    for _ in range(count):
        version = rng.choice("ABCD")
        kbpk = rng.randbytes(rng.choice([16, 24, 32] if version == "D" else [16, 24]))
        algorithm = rng.choice("AT") if version == "D" else "T"
        key = rng.randbytes(rng.choice([16, 24, 32] if algorithm == "A" else [16, 24]))
        usage = rng.choice(["P0", "K0", "B0", "B1", "M3", "V1", "V2", "D0", "E0", "E4", "C0"])
        number = f"{rng.randrange(100):02}"
        header = psec.tr31.Header(version, usage, algorithm, rng.choice("BCDEGNVX"), number, rng.choice("ENS"))
        for name in rng.sample(["10", "LB", "TS", "99"], rng.randrange(4)):
            # From 252 characters on, a block has an extended length, which psec writes otherwise than X9.143: see README.md.
            length = rng.choice([rng.randrange(1, 40), rng.randrange(200, 252)])
            header.blocks[name] = "".join(rng.choice("0123456789ABCDEF") for _ in range(length))
        block = psec.tr31.wrap(kbpk, header, key, rng.choice([None, 0, 24, 32]))
        yield kbpk, key, dict(header.blocks), block


def ask(command, questions):
    """The answers of a program to questions, both as JSON lines."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    answers = subprocess.run(command, input=lines, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    if len(answers) != len(questions):
        raise SystemExit(f"{command[0]}: {len(questions)} questions, {len(answers)} answers")
    return [json.loads(answer) for answer in answers]


def check_psec_blocks(binary, rng, count, tally):
    made = list(psec_blocks(rng, count))
    asked = [(kbpk, block) for kbpk, _, _, block in made]
    asked += [(kbpk, tampered(rng, block)) for kbpk, _, _, block in made]
    answers = ask([*binary, "open"], [{"kbpk": kbpk.hex(), "block": block} for kbpk, block in asked])
    for (kbpk, key, optional, block), answer in zip(made, answers):
        case = {"kbpk": kbpk.hex(), "block": block}
        ours = (answer.get("key"), answer.get("header"), {k: v for k, v in answer.get("optional", []) if k != "PB"})
        tally.cases["tr31-of-psec"] += 1
        tally.same("tr31-of-psec", "we open psec's", ours, (upper(key), block[:16], optional), {**case, "answer": answer})
    for (kbpk, block), answer in zip(asked[count:], answers[count:]):
        tally.cases["tr31-tampered"] += 1
        case = {"kbpk": kbpk.hex(), "block": block}
        tally.same("tr31-tampered", "we refuse", answer.get("error"), "A4", {**case, "answer": answer})


def filled_blocks(case):
    """PIN blocks with random fill of the libraries' making: (library, block)."""
    family, pin, pan = case["family"], case["pin"], case["pan"]
    if family == "pinblock-iso3":
        yield "psec", upper(psec.pinblock.encode_pinblock_iso_3(pin, pan))
    if family == "pinblock-iso4":
        yield "psec", upper(psec.pinblock.encipher_pinblock_iso_4(unhex(case["key"]), pin, pan))
    if iso8583sim and family == "pinblock-iso4":
        yield "iso8583sim", iso8583sim.encrypt_pin_block(pin, pan, case["key"], 4)
    elif iso8583sim:
        yield "iso8583sim", upper(iso8583sim.encode_pin_block(pin, pan, int(family[-1])))


def check_filled_blocks(binary, made, tally):
    """That we find the PIN in blocks of others: (library, block, the case with the PIN)."""
    questions = [{**case, "format": case["family"].split("-")[1], "block": block} for _, block, case in made]
    for (library, block, case), answer in zip(made, ask([*binary, "open"], questions)):
        case = {**case, "block": block, "answer": answer}
        tally.same(case["family"], f"we decode {library}'s", answer.get("pin"), case["pin"], case)


# What each npm package checks.
NODE = {
    "dukpt-tdes": "dukpt",
    "pinblock-iso0": "data-crypto",
    "pinblock-iso1": "data-crypto",
    "pinblock-iso2": "data-crypto",
    "pinblock-iso3": "data-crypto",
}
WITH_RANDOM_FILL = ["pinblock-iso1", "pinblock-iso3", "pinblock-iso4"]


def check_node(modules, cases, tally):
    """Compares with the npm packages. Returns PIN blocks of their making that have random fill, for `check_filled_blocks`."""
    there = {package: os.path.isdir(os.path.join(modules, package)) for package in NODE.values()}
    for package in [package for package, installed in there.items() if not installed]:
        print(f"left out: {package} is not in {modules}")
    asked = []
    for case in cases:
        family = case["family"]
        # data-crypto finds the account number's digits only if there are 16.
        other_pan = family in ("pinblock-iso0", "pinblock-iso3") and len(case["pan"]) != 16
        if family in NODE and there[NODE[family]] and not other_pan:
            asked.append(case)
    filled = []
    for case, answer in zip(asked, ask(["node", os.path.join(HERE, "packages.js"), modules], asked)):
        family, package = case["family"], NODE[case["family"]]
        if family in WITH_RANDOM_FILL:
            filled.append((package, answer["block"], case))
            continue
        for field, theirs in answer.items():
            tally.same(family, f"{package} (npm) {field}", case[field], theirs, case)
    return filled


def paysec_knows(case):
    """Whether paysec takes a block: version D, no usage that begins with V, no optional block that TR-31 does not name."""
    known = {"TS", "PB"}.issuperset(name for name, _ in case["optional"])
    return case["block"][0] == "D" and case["block"][5] != "V" and known


def check_paysec(binary, cases, tally):
    """The keys of AES DUKPT, and what is in key blocks."""
    asked = [case for case in cases if case["family"] == "dukpt-aes" or case["family"] == "tr31" and paysec_knows(case)]
    for case, answer in zip(asked, ask([binary], asked)):
        if "error" in answer:
            tally.failures.append(f"{case['family']}: paysec: {answer['error']}: {json.dumps(case)}")
            continue
        for field, theirs in answer.items():
            tally.same(case["family"], f"paysec {field}", case[field], theirs, case)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", help="the built example; without it, cargo runs it")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--count", type=int, default=200, help="cases per family")
    parser.add_argument("--node", help="directory node_modules with the npm packages dukpt and data-crypto")
    parser.add_argument("--paysec", help="the built program of the directory paysec, the only one that checks AES DUKPT")
    args = parser.parse_args()
    cargo = ["cargo", "run", "--release", "--locked", "-q", "-p", "hsm-core", "--example", "differential", "--"]
    binary = [args.binary] if args.binary else cargo
    print(f"seed {args.seed}, {args.count} cases per family")

    command = [*binary, "generate", str(args.seed), str(args.count)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    cases = [json.loads(line) for line in lines]
    rng, tally = random.Random(args.seed), Tally()
    for case in cases:
        family = case["family"]
        tally.cases[family] += 1
        if "decoded" in case:
            tally.same(family, "we decode", case["decoded"], case["pin"], case)
        try:
            for library, ours, theirs in CHECKS[family](case):
                tally.same(family, library, ours, theirs, case)
        except (ValueError, TypeError, InvalidSignature) as error:
            # A library that refuses what we made disagrees with us.
            tally.failures.append(f"{family}: {error}: {json.dumps(case)}")
        if family == "tr31":
            block = tampered(rng, case["block"])
            tally.refused(family, "psec refuses tampered", lambda: psec.tr31.unwrap(unhex(case["kbpk"]), block), case)
    missing = [family for family in CHECKS if tally.cases[family] != args.count]
    if missing:
        raise SystemExit(f"not {args.count} cases of {', '.join(missing)}")
    check_psec_blocks(binary, rng, args.count, tally)
    with_fill = [case for case in cases if case["family"] in WITH_RANDOM_FILL]
    filled = [(library, block, case) for case in with_fill for library, block in filled_blocks(case)]
    if args.node:
        filled += check_node(args.node, cases, tally)
    else:
        print("left out: the npm packages; without --node only pydukpt checks DUKPT counters above 1FF")
    check_filled_blocks(binary, filled, tally)
    if args.paysec:
        check_paysec(args.paysec, cases, tally)
    else:
        print("left out: paysec; without --paysec nothing checks AES DUKPT")
    return tally.report()


if __name__ == "__main__":
    sys.exit(main())
