// Reads JSON lines {bdk, ksn} and prints the PIN, MAC and data keys that the npm package "dukpt" derives.
// The first argument is the directory of the package.
const Dukpt = require(process.argv[2]);
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const { bdk, ksn } of lines.map(JSON.parse)) {
    const key = (mode) => new Dukpt(bdk, ksn, mode)._sessionKey;
    console.log(JSON.stringify({ pin: key('pinkey'), mac: key('mackey'), data: key('datakey') }));
}
