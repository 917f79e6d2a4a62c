j
location/etc/passwdp