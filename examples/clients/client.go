// Command client sends NC (diagnostics) and CY (verify a CVV): each message is a 2-byte length, a 4-character header and the command.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
)

func call(hsm net.Conn, command string) (string, error) {
	message := "0001" + command
	if _, err := hsm.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)); err != nil {
		return "", err
	}
	var length uint16
	if err := binary.Read(hsm, binary.BigEndian, &length); err != nil {
		return "", err
	}
	response := make([]byte, length)
	_, err := io.ReadFull(hsm, response)
	return string(response), err
}

func main() {
	hsm, err := net.Dial("tcp", "127.0.0.1:1500") // closed by the end of the process
	if err != nil {
		log.Fatal(err)
	}
	// CY: CVK under the test LMK, CVV, account number, expiry, service code. Error 01 would be a wrong CVV.
	for _, command := range []string{"NC", "CYU9B4934384B19946B040CD702B4D581455614123456789012345;8701101"} {
		response, err := call(hsm, command)
		if err != nil || len(response) < 8 {
			log.Fatal("no response: ", err)
		}
		fmt.Println(response[4:6], response[6:8], response[8:]) // response code, error code, fields
	}
}
