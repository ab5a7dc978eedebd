/* proto/openssl.h - OpenSSL's headers, whose type ERR_STATE has the name of one of our codes
 * (core/err.h). */
#pragma once
#define ERR_STATE openssl_err_state
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
