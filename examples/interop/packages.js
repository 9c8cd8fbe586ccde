// Reads cases of the differential test as JSON lines and prints for each what an npm package makes of it: of "dukpt-tdes"
// the keys that dukpt derives, of a PIN block family the block that data-crypto makes of the PIN.
// The first argument is the node_modules directory with the packages that the cases need.
const { readFileSync } = require('fs');
const { join, resolve } = require('path');
const load = (name) => require(join(resolve(process.argv[2]), name));
const dukpt = ({ bdk, ksn }) => {
    const Dukpt = load('dukpt');
    const key = (mode) => new Dukpt(bdk, ksn, mode)._sessionKey.toUpperCase();
    return { pin: key('pinkey'), mac: key('mackey'), data: key('datakey') };
};
const families = {
    'dukpt-tdes': dukpt,
    'pinblock-iso0': ({ pan, pin }) => ({ block: load('data-crypto').pinBlockFormat0(pan, pin) }),
    'pinblock-iso1': ({ pin }) => ({ block: load('data-crypto').pinBlockFormat1(pin) }),
    'pinblock-iso2': ({ pin }) => ({ block: load('data-crypto').pinBlockFormat2(pin) }),
    'pinblock-iso3': ({ pan, pin }) => ({ block: load('data-crypto').pinBlockFormat3(pan, pin) }),
};
for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    const question = JSON.parse(line);
    console.log(JSON.stringify(families[question.family](question)));
}
