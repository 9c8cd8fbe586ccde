// Sends NC (diagnostics) and CY (verify a CVV): each message is a 2-byte length, a 4-character header and the command.
const net = require('net');

const commands = [
    'NC',
    // CVK under the test LMK, CVV, account number, expiry, service code. Error 01 would be a wrong CVV.
    'CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101',
];
const hsm = net.connect(Number(process.argv[2] || 1500), '127.0.0.1');
let received = Buffer.alloc(0);

function send() {
    const message = Buffer.from('0001' + commands.shift(), 'latin1');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    hsm.write(Buffer.concat([length, message]));
}

hsm.on('connect', send);
hsm.on('error', (error) => { console.error(error.message); process.exitCode = 1; });
hsm.on('data', (data) => {
    received = Buffer.concat([received, data]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0);
        // Header, response code (the command's with its second letter advanced), error code, fields.
        const response = received.toString('latin1', 2 + 4, end);
        received = received.subarray(end);
        console.log(response.slice(0, 2), response.slice(2, 4), response.slice(4));
        if (commands.length > 0) send(); else hsm.end();
    }
});
