import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/** Sends NC (diagnostics) and CY (verify a CVV): a message is a 2-byte length, a 4-character header and the command. */
public class Client {
    public static void main(String[] args) throws IOException {
        int port = args.length > 0 ? Integer.parseInt(args[0]) : 1500;
        // CY: CVK under the test LMK, CVV, account number, expiry, service code. Error 01 would be a wrong CVV.
        String[] commands = {"NC", "CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101"};
        try (Socket hsm = new Socket("127.0.0.1", port)) {
            DataInputStream in = new DataInputStream(hsm.getInputStream());
            DataOutputStream out = new DataOutputStream(hsm.getOutputStream());
            for (String command : commands) {
                byte[] message = ("0001" + command).getBytes(StandardCharsets.ISO_8859_1);
                byte[] framed = new byte[2 + message.length];
                framed[0] = (byte) (message.length >> 8);
                framed[1] = (byte) message.length;
                System.arraycopy(message, 0, framed, 2, message.length);
                out.write(framed);
                byte[] response = new byte[in.readUnsignedShort()];
                in.readFully(response);
                String text = new String(response, StandardCharsets.ISO_8859_1);
                // Header, response code (the command's with its second letter advanced), error code, fields.
                System.out.println(text.substring(4, 6) + " " + text.substring(6, 8) + " " + text.substring(8));
            }
        }
    }
}
